//! The measured configuration, `/etc/sealstone/config.json` in the initramfs.
//!
//! Written here and read by `image/config`, each from `docs/formats/config.md` and without sharing code, because nothing
//! that builds may be part of what runs. The end-to-end boot shows that the two agree: a reader that finds one byte out of
//! place stops the machine.

use sealstone_spec::{Address, Spec};
use serde::Serialize;

use crate::AssembleError;

/// Where the configuration stands in the image.
pub const PATH: &str = "etc/sealstone/config.json";

/// One model pack that the image accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelPack {
    /// The model file inside the pack.
    pub file: String,
    /// The name that clients ask for.
    pub name: String,
    /// Whether the machine must not come up without it.
    pub required: bool,
    /// The dm-verity root hash, lower-case hex.
    pub root: String,
    /// The dm-verity salt, lower-case hex.
    pub salt: String,
    /// Length of the pack's data in bytes, without the hash tree.
    pub size: u64,
}

/// The fields in alphabetical order, which is the canonical one.
#[derive(Serialize)]
struct Config<'a> {
    attestation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
    image: Image<'a>,
    models: &'a [ModelPack],
    network: Network,
    schema: &'static str,
}

#[derive(Serialize)]
struct Auth<'a> {
    audience: &'a str,
    keys: Vec<String>,
}

#[derive(Serialize)]
struct Image<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
struct Network {
    address: &'static str,
    port: u16,
}

/// The canonical configuration of the image that `spec` describes: JSON without white space, fields in alphabetical order,
/// models by name.
///
/// # Errors
/// [`AssembleError::Config`] if the document cannot be serialised.
pub fn write(spec: &Spec, models: &[ModelPack]) -> Result<Vec<u8>, AssembleError> {
    let mut models = models.to_vec();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    let address = match spec.network.address {
        Address::Dhcp => "dhcp",
        other => return Err(AssembleError::Config(format!("init does not know the network address {other}"))),
    };
    let config = Config {
        attestation: spec.attestation.as_str(),
        auth: spec
            .auth
            .as_ref()
            .map(|auth| Auth { audience: &auth.audience, keys: auth.keys.iter().map(ToString::to_string).collect() }),
        image: Image { name: spec.image.name.as_str(), version: &spec.image.version },
        models: &models,
        network: Network { address, port: spec.network.port },
        schema: "sealstone/config/v1",
    };
    serde_json::to_vec(&config).map_err(|e| AssembleError::Config(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `image/config` takes these very texts in its tests (`measured.rs`).
    #[test]
    fn the_document_is_the_one_that_the_image_reads() {
        const EXAMPLE: &str = include_str!("../../spec/tests/example.yaml");
        const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let text = |yaml: &str| {
            let spec = Spec::parse("image/inference.yaml", yaml).expect("the example is a spec");
            String::from_utf8(write(&spec, &[]).expect("it can be written")).expect("JSON is text")
        };
        let plain = r#"{"attestation":"required","image":{"name":"inference","version":"0.1.0"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;
        assert_eq!(text(EXAMPLE), plain);
        let auth = format!("attestation: required\nauth: {{audience: https://llm.example/v1, keys: [{KEY}]}}");
        let with = format!(r#""auth":{{"audience":"https://llm.example/v1","keys":["{KEY}"]}},"image""#);
        assert_eq!(text(&EXAMPLE.replace("attestation: required", &auth)), plain.replace(r#""image""#, &with));
    }
}
