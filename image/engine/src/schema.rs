//! A JSON schema as a grammar in llama.cpp's notation (GBNF).
//!
//! What a grammar can promise is promised: a reply that ends by itself fits the schema. A keyword that restricts what is
//! allowed and that isn't known here is refused, not ignored; one that only describes is ignored. Objects write their
//! properties in the schema's order, and nothing beyond them unless `additionalProperties` asks for it.

mod document;
mod grammar;
mod ways;

#[cfg(test)]
mod tests;

use document::Document;

/// Why a schema can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is no JSON, or deeper than 64 levels.
    #[error("not JSON")]
    Json,
    /// A keyword has a value that it can't have.
    #[error("a keyword has a value of the wrong kind")]
    Malformed,
    /// A keyword restricts what this can't express.
    #[error("a keyword isn't supported")]
    Unsupported,
    /// A reference leads nowhere.
    #[error("a reference leads nowhere")]
    Reference,
    /// It is too large, or its grammar would be.
    #[error("too large")]
    Large,
    /// Nothing fits it.
    #[error("nothing fits")]
    Empty,
}

/// The grammar for a schema given as JSON text; its start is `root`.
pub fn grammar(schema: &str) -> Result<String, SchemaError> {
    let document: Document = serde_json::from_str(schema).map_err(|_| SchemaError::Json)?;
    let grammar = grammar::write(&document)?;
    ways::check(&document)?;
    Ok(grammar)
}

/// The grammar for any JSON object.
pub fn object() -> String {
    grammar::any_object()
}
