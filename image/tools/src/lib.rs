//! Nothing: this package exists for its lock. See Cargo.toml.
