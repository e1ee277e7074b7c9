//! Moving a pin in the text of a spec, without touching another byte: comments and layout are the author's.
