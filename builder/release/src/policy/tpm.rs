//! Policy for TPM quotes.

use std::collections::BTreeMap;

use sealstone_evidence::x509::Certificate;
use serde::{Deserialize, Deserializer, de};

use crate::hex::Bytes;

/// What a client accepts of a TPM's evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TpmPolicy {
    /// What whoever asked for the quote must have put in. Default: not looked at.
    pub nonce: Option<Nonce>,
    /// Accepted values of registers of the SHA-256 bank, by number. Needs the event log. Default: not looked at, because
    /// a pin says it better.
    pub pcrs: BTreeMap<u8, Vec<Bytes<32>>>,
    /// Attestation keys that are accepted, by the TPM's name for them. Default: none.
    pub attestation_keys: Vec<KeyName>,
    /// Roots that may certify attestation keys. Default: none. Written as a list of PEM texts, one certificate each.
    pub attestation_roots: Vec<RootCertificate>,
    /// Roots that may certify endorsement keys, of which the TPM must show, by an exchange with the client, that the attestation key is
    /// beside. Default: none. Written as `attestation_roots`.
    pub endorsement_roots: Vec<RootCertificate>,
    /// Accept any attestation key, although nothing says whose TPM it is in: a software TPM's, say. Default: no.
    pub allow_unendorsed_key: bool,
}

/// A certificate that the client trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCertificate(pub Certificate);

impl<'de> Deserialize<'de> for RootCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let list = Certificate::list_from_pem("the root certificate", text.as_bytes()).map_err(de::Error::custom)?;
        let [only] = <[Certificate; 1]>::try_from(list).map_err(|_| de::Error::custom("one certificate in each text"))?;
        Ok(Self(only))
    }
}

/// The TPM's name for a key: `000b` and 64 digits, or `000c` and 96, in lower-case hex, as `tpm2_readpublic` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(pub Vec<u8>);

impl<'de> Deserialize<'de> for KeyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
        let named = decoded.filter(|name| matches!((name.as_slice(), name.len()), ([0, 0x0b, ..], 34) | ([0, 0x0c, ..], 50)));
        let problem = "a key's name is 000b and 64 digits, or 000c and 96 digits, in lower-case hex";
        named.map(Self).ok_or_else(|| de::Error::custom(problem))
    }
}

/// Up to 64 bytes, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(pub Vec<u8>);

impl<'de> Deserialize<'de> for Nonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let decoded = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().filter(|bytes| bytes.len() <= 64);
        decoded.map(Self).ok_or_else(|| de::Error::custom("a nonce is up to 64 bytes in lower-case hex"))
    }
}
