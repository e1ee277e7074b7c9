//! The document of `/v1/evidence`, `sealstone/evidence/v1`. Its fields stand in `docs/formats/evidence.md`.

use bytes::Bytes;
use sealstone_channel::binding::{HandshakeHash, nonce_report_data};
use sealstone_config::{Digest, MeasuredConfig};
use serde::Serialize;

use super::certificates::Certificates;
use super::tsm;
use crate::tpm::{AttestationKey, Quote};

/// The document's format, and what separates its quotes from those for the channel.
pub const SCHEMA: &str = "sealstone/evidence/v1";

/// A client's challenge: 32 bytes of its choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(Digest);

impl Nonce {
    /// Reads 64 lower-case hex digits.
    pub fn parse(hex: &str) -> Option<Nonce> {
        // The same alphabet and length as a digest.
        Digest::try_from(hex.to_owned()).ok().map(Nonce)
    }
}

/// What a quote is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Whoever asks in the open.
    Nonce(Nonce),
    /// A session of the channel.
    Channel(HandshakeHash),
}

/// No devices besides the processor vouch for anything.
const NO_DEVICES: [u8; 32] = [0; 32];

/// What a quote for `nonce` on a machine with this configuration carries as qualifying data.
pub fn qualifying_data(nonce: Nonce, config_sha256: &Digest) -> [u8; 32] {
    let mut input = Vec::with_capacity(96);
    input.extend_from_slice(SCHEMA.as_bytes());
    input.push(0);
    input.extend_from_slice(nonce.0.as_bytes());
    input.extend_from_slice(config_sha256.as_bytes());
    *Digest::of(&input).as_bytes()
}

/// What a report for `challenge` carries, on a machine with a configuration of this digest.
pub fn report_data(challenge: Challenge, config_sha256: &Digest) -> [u8; tsm::DATA] {
    match challenge {
        Challenge::Nonce(nonce) => nonce_report_data(nonce.0.as_bytes(), config_sha256.as_bytes()),
        Challenge::Channel(hash) => hash.report_data(config_sha256.as_bytes(), &NO_DEVICES),
    }
}

/// The parts of the document that are the same for the whole boot, on a machine with a TPM.
#[derive(Debug)]
pub struct Fixed {
    config: String,
    config_sha256: Digest,
    event_log: String,
    ak_public: String,
}

/// Fields in the order of their names.
#[derive(Serialize)]
struct Document<'a> {
    ak_public: &'a str,
    config: &'a str,
    event_log: &'a str,
    quote: String,
    schema: &'static str,
    signature: String,
    tee: &'static str,
}

impl Fixed {
    /// For this boot's key and the firmware's event log, empty if it left none.
    pub fn new(measured: &MeasuredConfig, key: &AttestationKey, event_log: &[u8]) -> Fixed {
        Fixed {
            // The canonical form is UTF-8, so nothing is replaced.
            config: String::from_utf8_lossy(measured.bytes()).into_owned(),
            config_sha256: measured.sha256(),
            event_log: base64(event_log),
            ak_public: base64(key.public()),
        }
    }

    /// What a quote for `challenge` on this machine carries.
    pub fn qualifying_data(&self, challenge: Challenge) -> [u8; 32] {
        match challenge {
            Challenge::Nonce(nonce) => qualifying_data(nonce, &self.config_sha256),
            Challenge::Channel(hash) => hash.qualifying_data(self.config_sha256.as_bytes(), &NO_DEVICES),
        }
    }

    /// The document with `quote` in it, as JSON.
    pub fn with(&self, quote: &Quote) -> Bytes {
        let document = Document {
            ak_public: &self.ak_public,
            config: &self.config,
            event_log: &self.event_log,
            quote: base64(&quote.attest),
            schema: SCHEMA,
            signature: base64(&quote.signature),
            tee: super::Kind::Tpm2.as_str(),
        };
        // Texts only: this cannot fail, and an empty body would show if it did.
        Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
    }
}

/// The document of an SEV-SNP machine; `config` is the measured configuration.
pub fn sev_snp(config: &str, report: &[u8], certificates: &Certificates<'_>) -> Bytes {
    #[derive(Serialize)]
    struct SevSnp<'a> {
        certificates: Vec<String>,
        config: &'a str,
        report: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        revocation_list: Option<String>,
        schema: &'static str,
        tee: &'static str,
    }
    let document = SevSnp {
        certificates: certificates.list.iter().map(|der| base64(der)).collect(),
        config,
        report: base64(report),
        revocation_list: certificates.revocation_list.map(base64),
        schema: SCHEMA,
        tee: super::Kind::SevSnp.as_str(),
    };
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

/// The document of a TDX machine; `event_log` is the firmware's in base64.
pub fn tdx(config: &str, event_log: &str, quote: &[u8]) -> Bytes {
    #[derive(Serialize)]
    struct Tdx<'a> {
        config: &'a str,
        event_log: &'a str,
        quote: String,
        schema: &'static str,
        tee: &'static str,
    }
    let document = Tdx { config, event_log, quote: base64(quote), schema: SCHEMA, tee: super::Kind::Tdx.as_str() };
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

/// The document of a machine whose measured configuration says that it proves nothing.
pub fn insecure(measured: &MeasuredConfig) -> Bytes {
    #[derive(Serialize)]
    struct Insecure<'a> {
        config: &'a str,
        schema: &'static str,
        tee: &'static str,
    }
    let config = String::from_utf8_lossy(measured.bytes());
    let document = Insecure { config: &config, schema: SCHEMA, tee: super::Kind::Insecure.as_str() };
    Bytes::from(serde_json::to_vec(&document).unwrap_or_default())
}

/// Base64 with padding (RFC 4648 section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32, shift: u32| {
        let index = usize::try_from(bits >> shift & 63).unwrap_or_default();
        char::from(ALPHABET.get(index).copied().unwrap_or_default())
    };
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        text.push(digit(bits, 18));
        text.push(digit(bits, 12));
        text.push(if group.len() > 1 { digit(bits, 6) } else { '=' });
        text.push(if group.len() > 2 { digit(bits, 0) } else { '=' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standards() {
        // RFC 4648 section 10, and the two digits that aren't letters or numbers.
        let table: &[(&[u8], &str)] = &[
            (b"", ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"fooba", "Zm9vYmE="),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff, 0xbf], "+/+/"),
        ];
        for (bytes, text) in table {
            assert_eq!(base64(bytes), *text);
        }
    }

    #[test]
    fn nonces() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(Nonce::parse(&digits).is_some());
        for bad in ["", &digits[1..], &format!("{digits}0"), &digits.to_uppercase(), &digits.replace('f', "g")] {
            assert_eq!(Nonce::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn qualifying_data_is_what_the_documentation_says() {
        // Computed with coreutils:
        // { printf 'sealstone/evidence/v1\0'; printf '\x11%.0s' $(seq 32); printf config | openssl dgst -sha256 -binary; } | sha256sum
        let nonce = Nonce::parse(&"11".repeat(32)).unwrap();
        let data = qualifying_data(nonce, &Digest::of(b"config"));
        assert_eq!(Digest::from_bytes(data).to_string(), "abbcb9318b008902544b5994c115d075021baa3549b96030862421f0bb05b197");
    }
}
