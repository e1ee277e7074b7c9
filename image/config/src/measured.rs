//! The document and its canonical form.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::auth::Auth;
use crate::error::ConfigError;
use crate::model::Model;
use crate::text::{Digest, Name, Version};
use crate::{MAX_BYTES, MAX_MODELS};

/// A configuration together with the bytes that were measured.
#[derive(Clone, Debug)]
pub struct MeasuredConfig {
    config: Config,
    bytes: Vec<u8>,
    sha256: Digest,
}

impl MeasuredConfig {
    /// Reads `bytes`, which must be the canonical form: no white space, fields in alphabetical order, nothing unknown,
    /// missing or repeated. So two different files never mean the same, and a digest of the file is one of its meaning.
    pub fn parse(bytes: Vec<u8>) -> Result<MeasuredConfig, ConfigError> {
        if bytes.len() > MAX_BYTES {
            return Err(ConfigError::TooLong(bytes.len()));
        }
        let config: Config = serde_json::from_slice(&bytes)?;
        config.check_models()?;
        config.auth.as_ref().map_or(Ok(()), Auth::check)?;
        let canonical = serde_json::to_vec(&config)?;
        if canonical != bytes {
            return Err(ConfigError::NotCanonical(first_difference(&canonical, &bytes)));
        }
        let sha256 = Digest::of(&bytes);
        Ok(MeasuredConfig { config, bytes, sha256 })
    }

    /// What the bytes say.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The file as it was measured.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The SHA-256 of [`MeasuredConfig::bytes`]: `c` in the channel's report data.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).position(|(x, y)| x != y).unwrap_or(a.len().min(b.len()))
}

/// The configuration. Fields stand in alphabetical order, because that is the canonical one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether the image may serve without evidence.
    pub attestation: Attestation,
    /// Who may use the API; everybody in a session, if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// What the image calls itself.
    pub image: Image,
    /// The model packs, sorted by name.
    pub models: Vec<Model>,
    /// How the machine is reached.
    pub network: Network,
    /// The version of this format.
    pub schema: Schema,
}

impl Config {
    fn check_models(&self) -> Result<(), ConfigError> {
        if self.models.len() > MAX_MODELS {
            return Err(ConfigError::TooManyModels(self.models.len()));
        }
        let mut pairs = self.models.iter().zip(self.models.iter().skip(1));
        match pairs.find(|(a, b)| a.name >= b.name) {
            Some((_, later)) => Err(ConfigError::ModelOrder(later.name.clone())),
            None => Ok(()),
        }
    }
}

/// Whether the image may serve without evidence of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// A build for development: it serves although it can prove nothing. Being in the measured configuration, this shows
    /// in the measurement, and a policy refuses it unless told otherwise.
    Insecure,
    /// Without a source of evidence the daemon serves nobody and the machine powers off.
    Required,
}

/// What the image calls itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Also the machine's host name.
    pub name: Name,
    /// As the spec states it.
    pub version: Version,
}

/// How the machine is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Where the machine's address comes from.
    pub address: NetworkAddress,
    /// The TCP port on which the daemon listens, on every address.
    pub port: NonZeroU16,
}

/// Where the machine's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkAddress {
    /// The kernel asks by DHCP before init runs (`ip=dhcp` in the command line, which is measured as well).
    Dhcp,
}

/// The version of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schema {
    /// The only one so far.
    #[serde(rename = "sealstone/config/v1")]
    V1,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn model(name: &str) -> String {
        format!(r#"{{"file":"model.gguf","name":"{name}","required":true,"root":"{DIGITS}","salt":"{DIGITS}","size":8192}}"#)
    }

    fn text(models: &str) -> String {
        format!(
            r#"{{"attestation":"required","image":{{"name":"inference","version":"0.1.0"}},"models":[{models}],"network":{{"address":"dhcp","port":8080}},"schema":"sealstone/config/v1"}}"#
        )
    }

    fn parse(text: &str) -> Result<MeasuredConfig, ConfigError> {
        MeasuredConfig::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn the_canonical_form_is_read() {
        let empty = text("");
        let measured = parse(&empty).unwrap();
        assert_eq!(measured.bytes(), empty.as_bytes());
        assert_eq!(measured.sha256(), Digest::of(empty.as_bytes()));
        assert_eq!(measured.config().network.port.get(), 8080);

        let two = parse(&text(&format!("{},{}", model("a"), model("b")))).unwrap();
        let names: Vec<_> = two.config().models.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(two.config().models[0].size.blocks(), 2);
    }

    /// RFC 8032, section 7.1, tests 2 and 1. The builder writes the second one's text in its tests (`assemble/src/config.rs`).
    const KEYS: [&str; 2] = [
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    ];

    fn with_auth(auth: &str) -> String {
        text("").replace(r#""image""#, &format!(r#""auth":{auth},"image""#))
    }

    #[test]
    fn who_may_use_the_api_can_be_said() {
        assert_eq!(parse(&text("")).unwrap().config().auth, None);
        let [a, b] = KEYS;
        let said = with_auth(&format!(r#"{{"audience":"https://llm.example/v1","keys":["{a}","{b}"]}}"#));
        let config = parse(&said).unwrap();
        let auth = config.config().auth.as_ref().unwrap();
        assert_eq!((auth.audience.as_str(), auth.keys.len(), auth.keys[0].as_bytes()[0]), ("https://llm.example/v1", 2, 0x3d));
        assert!(parse(&with_auth(&format!(r#"{{"audience":"https://llm.example/v1","keys":["{b}"]}}"#))).is_ok());
        let many = (0..=crate::MAX_KEYS).map(|n| format!("\"{n:064x}\"")).collect::<Vec<_>>().join(",");
        for (what, auth, expected) in [
            ("null", "null".to_owned(), "canonical form"),
            ("no keys", r#"{"audience":"a"}"#.to_owned(), "missing field `keys`"),
            ("no audience", format!(r#"{{"keys":["{a}"]}}"#), "missing field `audience`"),
            ("empty list", r#"{"audience":"a","keys":[]}"#.to_owned(), "1 to 8 keys"),
            ("too many", format!(r#"{{"audience":"a","keys":[{many}]}}"#), "1 to 8 keys"),
            ("order", format!(r#"{{"audience":"a","keys":["{b}","{a}"]}}"#), "ascending order"),
            ("twice", format!(r#"{{"audience":"a","keys":["{a}","{a}"]}}"#), "ascending order"),
            ("upper case", format!(r#"{{"audience":"a","keys":["{}"]}}"#, a.to_uppercase()), "64 lower-case"),
            ("empty audience", format!(r#"{{"audience":"","keys":["{a}"]}}"#), "an audience is"),
            ("a space", format!(r#"{{"audience":"a b","keys":["{a}"]}}"#), "an audience is"),
            ("algorithm", format!(r#"{{"algorithm":"none","audience":"a","keys":["{a}"]}}"#), "unknown field `algorithm`"),
        ] {
            let error = parse(&with_auth(&auth)).map(|_| ()).expect_err(what).to_string();
            assert!(error.contains(expected), "{what}: {error}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let good = text("");
        let many = (0..=MAX_MODELS).map(|n| model(&format!("m{n:03}"))).collect::<Vec<_>>().join(",");
        let table: &[(&str, String, &str)] = &[
            ("empty", String::new(), "EOF"),
            ("white space", good.replace("\"models\"", " \"models\""), "canonical form (first difference at byte 73)"),
            ("final newline", format!("{good}\n"), "canonical form"),
            ("second document", format!("{good}{good}"), "trailing characters"),
            ("order", good.replace(r#""address":"dhcp","port":8080"#, r#""port":8080,"address":"dhcp""#), "canonical form"),
            ("escape", good.replace("inference", "\\u0069nference"), "canonical form"),
            ("unknown", good.replace("\"models\"", "\"debug\":true,\"models\""), "unknown field `debug`"),
            ("unknown inside", good.replace("\"port\"", "\"mtu\":1,\"port\""), "unknown field `mtu`"),
            ("twice", good.replace("\"models\"", "\"attestation\":\"required\",\"models\""), "duplicate field `attestation`"),
            ("missing", good.replace(r#""attestation":"required","#, ""), "missing field `attestation`"),
            ("schema", good.replace("config/v1", "config/v2"), "unknown variant"),
            ("attestation", good.replace("required", "optional"), "unknown variant"),
            ("port 0", good.replace("8080", "0"), "nonzero"),
            ("port 65536", good.replace("8080", "65536"), "u16"),
            ("port text", good.replace("8080", "\"8080\""), "invalid type"),
            ("name", good.replace("inference", "In"), "a name is"),
            ("sorted", text(&format!("{},{}", model("b"), model("a"))), "a is out of order"),
            ("repeated", text(&format!("{},{}", model("a"), model("a"))), "a is out of order"),
            ("size", text(&model("a").replace("8192", "8193")), "multiple of 4096"),
            ("root", text(&model("a").replace("00112233", "0011223")), "64 lower-case hex digits"),
            ("file", text(&model("a").replace("model.gguf", "../x")), "a path in a pack"),
            ("models", text(&many), "65 models"),
            ("long", format!("{good}{}", " ".repeat(MAX_BYTES)), "more than 65536"),
        ];
        for (what, text, expected) in table {
            let error = parse(text).map(|_| ()).expect_err(what).to_string();
            assert!(error.contains(expected), "{what}: {error}");
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let good = text(&model("a"));
        for cut in 0..good.len() {
            assert!(parse(&good[..cut]).is_err(), "cut at {cut}");
        }
        for position in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[position] ^= 0x80;
            assert!(MeasuredConfig::parse(bytes).is_err(), "flip at {position}");
        }
    }
}
