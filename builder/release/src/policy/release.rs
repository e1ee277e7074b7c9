//! Policy for releases: whose word counts, and how much of it.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de};

use crate::hex::Sha256;
use crate::key::{KeyKind, VerifierKey};

/// What a client accepts of a release. The default names no key, so nothing passes until somebody is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReleasePolicy {
    /// Publishers' keys. Default: none.
    #[serde(deserialize_with = "plain")]
    pub keys: Vec<VerifierKey>,
    /// Keys of logs, one of which must show the release. Default: none.
    #[serde(deserialize_with = "plain")]
    pub logs: Vec<VerifierKey>,
    /// Witnesses of the log. Default: none is asked for.
    pub witnesses: WitnessPolicy,
    /// Who else must have built it and got the same. Default: one, of no keys, so that somebody has to be named.
    pub rebuilds: RebuildPolicy,
    /// Accept a release that no log shows. Default: no.
    pub allow_unlogged: bool,
    /// Accept keys whose name says that they are for demonstration: anybody can sign with them. Default: no.
    pub allow_demonstration: bool,
    /// Ids of pins that are refused whatever else is said. Default: none.
    pub refused_pins: BTreeSet<Sha256>,
}

/// Whose cosignatures are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessPolicy {
    /// How many of them.
    pub quorum: usize,
    /// The witnesses' keys.
    #[serde(deserialize_with = "cosigning")]
    pub keys: Vec<VerifierKey>,
}

/// Whose rebuild statements are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebuildPolicy {
    /// How many of them.
    pub quorum: usize,
    /// The rebuilders' keys.
    #[serde(deserialize_with = "plain")]
    pub keys: Vec<VerifierKey>,
}

impl Default for RebuildPolicy {
    fn default() -> Self {
        Self { quorum: 1, keys: Vec::new() }
    }
}

fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VerifierKey>, D::Error> {
    of_kind(deserializer, KeyKind::Plain, "a witness's key (signature type 0x04) can't stand here")
}

fn cosigning<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<VerifierKey>, D::Error> {
    of_kind(deserializer, KeyKind::Cosignature, "a witness's key has signature type 0x04; `release keygen --witness` makes one")
}

/// Keys of one kind, none twice: under two names one signer would count as two.
fn of_kind<'de, D: Deserializer<'de>>(deserializer: D, kind: KeyKind, why: &str) -> Result<Vec<VerifierKey>, D::Error> {
    let keys = Vec::<VerifierKey>::deserialize(deserializer)?;
    let mut seen = BTreeSet::new();
    for key in &keys {
        if key.kind() != kind {
            return Err(de::Error::custom(format!("{}: {why}", key.id())));
        }
        if !seen.insert(*key.bytes()) {
            return Err(de::Error::custom(format!("{} stands twice, perhaps under another name", key.id())));
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use crate::key::SigningKey;
    use crate::policy::Policy;

    use super::*;

    fn key(name: &str, kind: KeyKind, seed: u8) -> String {
        SigningKey::from_seed(name.parse().unwrap(), kind, &[seed; 32]).verifier().to_string()
    }

    fn parse(section: &str) -> Result<ReleasePolicy, String> {
        let text = format!("schema: sealstone/policy/v1\nrelease:\n{section}");
        Policy::parse("p.yaml", &text).map(|policy| policy.release).map_err(|e| e.to_string())
    }

    #[test]
    fn every_field_is_read() {
        let (a, b) = (key("a", KeyKind::Plain, 1), key("b", KeyKind::Plain, 2));
        let w = key("w", KeyKind::Cosignature, 3);
        let id = "0".repeat(64);
        let policy = parse(&format!(
            "  keys: ['{a}']\n  logs: ['{b}']\n  witnesses: {{quorum: 1, keys: ['{w}']}}\n  \
             rebuilds: {{quorum: 2, keys: ['{a}', '{b}']}}\n  allow_unlogged: true\n  allow_demonstration: true\n  \
             refused_pins: ['{id}']\n"
        ))
        .unwrap();
        assert_eq!((policy.keys[0].to_string(), policy.logs[0].to_string(), policy.witnesses.keys[0].to_string()), (a, b, w));
        assert_eq!((policy.witnesses.quorum, policy.rebuilds.quorum, policy.rebuilds.keys.len()), (1, 2, 2));
        assert!(policy.allow_unlogged && policy.allow_demonstration && policy.refused_pins.len() == 1);
    }

    #[test]
    fn the_default_trusts_nobody() {
        let default = Policy::default().release;
        assert_eq!(parse("  keys: []\n"), Ok(default.clone()));
        assert!(default.keys.is_empty() && default.logs.is_empty() && default.rebuilds.quorum == 1);
        assert!(!default.allow_unlogged && !default.allow_demonstration);
    }

    #[test]
    fn mistakes_are_named() {
        let (a, w) = (key("a", KeyKind::Plain, 1), key("w", KeyKind::Cosignature, 3));
        let alias = key("alias", KeyKind::Plain, 1);
        for (section, says) in [
            (format!("  keys: ['{w}']\n"), "witness"),
            (format!("  witnesses: {{quorum: 1, keys: ['{a}']}}\n"), "0x04"),
            (format!("  keys: ['{a}', '{alias}']\n"), "twice"),
            (format!("  keys: ['{}']\n", a.replacen("+", "+0", 1)), "id"),
            ("  keyz: []\n".into(), "keyz"),
            ("  rebuilds: {keys: []}\n".into(), "quorum"),
            ("  rebuilds: {quorum: -1, keys: []}\n".into(), "quorum"),
        ] {
            let error = parse(&section).unwrap_err();
            assert!(error.contains(says), "{section}: {error}");
        }
    }
}
