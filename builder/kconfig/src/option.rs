//! Names and values of options.

use std::fmt;

use thiserror::Error;

/// The name of an option, without the `CONFIG_` that configuration files put in front of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OptionName(String);

impl OptionName {
    /// Reads a name such as `CONFIG_SMP`.
    ///
    /// # Errors
    /// [`ValueError::Name`] if the prefix is missing or a character isn't an ASCII letter, digit
    /// or underscore.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        match text.strip_prefix("CONFIG_") {
            Some(bare) if is_bare_name(bare) => Ok(Self(bare.to_owned())),
            _ => Err(ValueError::Name(text.to_owned())),
        }
    }

    /// The name without `CONFIG_`.
    #[must_use]
    pub fn bare(&self) -> &str {
        &self.0
    }
}

fn is_bare_name(bare: &str) -> bool {
    !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl fmt::Display for OptionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CONFIG_{}", self.0)
    }
}

/// The value of an option, in the spelling of `.config` files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    /// `y`: built in.
    Yes,
    /// `m`: built as a module. Fragments can't ask for it; a resolved configuration may hold it,
    /// so that the linter can say so.
    Module,
    /// `n`, which `.config` files write as `# CONFIG_X is not set`.
    No,
    /// A decimal number.
    Int(i64),
    /// A number of type `hex`, written with `0x`.
    Hex(u64),
    /// A string, here without its quotes and escapes. Never holds control characters.
    Text(String),
}

impl Value {
    /// Reads what stands behind the `=`.
    ///
    /// # Errors
    /// [`ValueError::Value`] for anything but `y`, `m`, `n`, a number or a quoted string;
    /// [`ValueError::Quotes`] if a string isn't closed properly.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "y" => return Ok(Self::Yes),
            "m" => return Ok(Self::Module),
            "n" => return Ok(Self::No),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix('"') {
            return unquote(rest).map(Self::Text).ok_or_else(|| ValueError::Quotes(text.to_owned()));
        }
        let number = match text.strip_prefix("0x") {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16).ok().map(Self::Hex),
            Some(_) => None,
            None if text.starts_with('+') => None,
            None => text.parse().ok().map(Self::Int),
        };
        number.ok_or_else(|| ValueError::Value(text.to_owned()))
    }

    /// Whether code is built because of this value: `y` or `m`.
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self, Self::Yes | Self::Module)
    }
}

/// As it stands behind the `=`: strings quoted and escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("y"),
            Self::Module => f.write_str("m"),
            Self::No => f.write_str("n"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Hex(number) => write!(f, "{number:#x}"),
            Self::Text(text) => {
                f.write_str("\"")?;
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_str("\\")?;
                    }
                    write!(f, "{c}")?;
                }
                f.write_str("\"")
            }
        }
    }
}

/// The string between an opening quote (already taken) and the closing one, which must be last.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next()?),
            c if c.is_control() => return None,
            c => text.push(c),
        }
    }
}

/// One setting in the spelling of `.config` files, without a line end: `CONFIG_X=value`, or
/// `# CONFIG_X is not set` for `n`.
pub(crate) fn config_line(name: &OptionName, value: &Value) -> String {
    match value {
        Value::No => format!("# {name} is not set"),
        value => format!("{name}={value}"),
    }
}

/// The name in a line of the form `# CONFIG_X is not set`.
pub(crate) fn not_set(line: &str) -> Option<&str> {
    line.strip_prefix("# ")?.strip_suffix(" is not set").filter(|name| name.starts_with("CONFIG_"))
}

/// Why a name or value couldn't be read. Callers add the file and line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// Not the name of an option: correct the spelling.
    #[error("`{0}` is not an option: write CONFIG_ and letters, digits or underscores")]
    Name(String),
    /// Not a value that any type of option has.
    #[error("`{0}` is not a value: write y, n, a number, 0x and hexadecimal digits, or \"text\"")]
    Value(String),
    /// A string that isn't closed, goes on behind its end, or holds control characters.
    #[error("{0} is not a string: end it with one \", and write \\\" and \\\\ for \" and \\ inside")]
    Quotes(String),
}

#[cfg(test)]
pub(crate) mod strategies {
    //! Generators that the property tests of several modules share.

    use proptest::prelude::*;

    use super::{OptionName, Value};

    pub(crate) fn name() -> impl Strategy<Value = OptionName> {
        "[A-Za-z0-9_]{1,24}".prop_map(OptionName)
    }

    pub(crate) fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Yes),
            Just(Value::No),
            any::<i64>().prop_map(Value::Int),
            any::<u64>().prop_map(Value::Hex),
            "[ -~äß€]{0,20}".prop_map(Value::Text),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_as_kconfig_writes_them() {
        let cases = [
            ("y", Value::Yes),
            ("m", Value::Module),
            ("n", Value::No),
            ("0", Value::Int(0)),
            ("-1", Value::Int(-1)),
            ("512", Value::Int(512)),
            ("0x0", Value::Hex(0)),
            ("0xdead000000000000", Value::Hex(0xdead_0000_0000_0000)),
            (r#""""#, Value::Text(String::new())),
            (r#""a b""#, Value::Text("a b".into())),
            (r#""say \"y\" \\ n""#, Value::Text(r#"say "y" \ n"#.into())),
        ];
        for (text, value) in cases {
            assert_eq!(Value::parse(text), Ok(value.clone()), "{text}");
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn refused_values() {
        for text in ["", "Y", "yes", "y ", "+1", "0x", "0xg", "0x+1", "1.5", "9223372036854775808", "text"] {
            assert_eq!(Value::parse(text), Err(ValueError::Value(text.into())), "{text:?}");
        }
        for text in [r#"""#, r#""a"#, r#""a\""#, r#""a"b"#, r#""a" "#, "\"a\tb\""] {
            assert_eq!(Value::parse(text), Err(ValueError::Quotes(text.into())), "{text:?}");
        }
    }

    #[test]
    fn refused_names() {
        for text in ["", "SMP", "CONFIG_", "CONFIG_A-B", "CONFIG_A B", "config_SMP", "CONFIG_Ä"] {
            assert_eq!(OptionName::parse(text), Err(ValueError::Name(text.into())), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_value_is_read_back(value in strategies::value()) {
            prop_assert_eq!(Value::parse(&value.to_string()), Ok(value));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = Value::parse(&text);
            let _ = OptionName::parse(&text);
        }
    }
}
