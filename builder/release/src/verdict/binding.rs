//! What evidence is bound to, so that it can't be yesterday's or another session's.

use sha2::{Digest as _, Sha256, Sha512};

use super::{Check, Refusal};
use crate::evidence::{Body, Evidence};
use crate::policy::Policy;

/// Names the formula; another one gets another word, so that no two can give the same digest.
const NONCE: &[u8] = b"sealstone/evidence/v1\0";
const CHANNEL: &[u8] = b"sealstone/channel/v1\0";

/// What the evidence was asked for with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// A nonce of the caller's choice (docs/formats/evidence.md, "Request").
    Nonce([u8; 32]),
    /// A session of the attested channel (docs/formats/channel.md).
    Channel {
        /// The final Noise handshake hash.
        handshake_hash: [u8; 32],
        /// SHA-256 of the evidence of devices; zeros without devices.
        device: [u8; 32],
    },
    /// Nothing: evidence from a file. That it is fresh isn't shown, and the verdict says so.
    Offline,
}

impl Binding {
    /// What an SNP report or TDX quote must hold as report data, for a machine whose configuration has the digest `config`.
    pub fn report_data(&self, config: &[u8; 32]) -> Option<[u8; 64]> {
        self.message(config).map(|message| Sha512::digest(message).into())
    }

    /// What a TPM's quote must hold as extra data.
    pub fn extra_data(&self, config: &[u8; 32]) -> Option<[u8; 32]> {
        let message = self.message(config)?;
        Some(match self {
            // A TPM takes 32 bytes where report data has 64: the channel's formula is hashed once more to fit.
            Self::Channel { .. } => Sha256::digest(Sha512::digest(message)).into(),
            Self::Nonce(_) | Self::Offline => Sha256::digest(message).into(),
        })
    }

    fn message(&self, config: &[u8; 32]) -> Option<Vec<u8>> {
        match self {
            Self::Nonce(nonce) => Some([NONCE, nonce, config].concat()),
            Self::Channel { handshake_hash, device } => Some([CHANNEL, handshake_hash, config, device].concat()),
            Self::Offline => None,
        }
    }
}

/// The check `binding`.
pub(super) fn check(evidence: &Evidence, binding: &Binding, policy: &Policy) -> Check {
    const ID: &str = "binding";
    let config = evidence.config.sha256.as_bytes();
    let (expected, found): (Option<Vec<u8>>, &[u8]) = match &evidence.body {
        Body::Snp(snp) => (binding.report_data(config).map(Vec::from), &snp.report.report_data),
        Body::Tdx(tdx) => (binding.report_data(config).map(Vec::from), &tdx.quote.body.report_data),
        Body::Tpm(tpm) => (binding.extra_data(config).map(Vec::from), &tpm.attest.extra_data),
    };
    let shown = data_encoding::HEXLOWER.encode(found);
    let Some(expected) = expected else {
        let why = "without a nonce or channel nobody knows when and for whom the evidence was made; give --nonce";
        if policy.require_binding {
            return Check::judge(ID, Refusal::Policy, false, "a nonce or channel to compare with", shown, why);
        }
        return Check::not_asked(ID, format!("{shown}: {why}"), why);
    };
    let holds = expected == found;
    let why = "the evidence was made for another nonce, session or configuration: it isn't fresh, or was relayed";
    Check::judge(ID, Refusal::Policy, holds, data_encoding::HEXLOWER.encode(&expected), shown, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `{ printf 'sealstone/evidence/v1\0'; head -c 32 /dev/zero | tr '\0' '\1'; head -c 32 /dev/zero | tr '\0' '\2'; } | sha256sum`
    /// and so on.
    #[test]
    fn the_formulas_are_those_of_the_documents() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let nonce = Binding::Nonce([1; 32]);
        let channel = Binding::Channel { handshake_hash: [1; 32], device: [0; 32] };
        let config = [2; 32];
        assert_eq!(hex(&nonce.extra_data(&config).unwrap()), "1518db528ebe650177a035f230f0dd5fdc898f502827552834f125c1a4d4721e");
        assert_eq!(
            hex(&nonce.report_data(&config).unwrap()),
            "170a1229e78c457e326f61ccff9d6ee1e5d01bc3ee07c3e494ed6f5d8e7b90b02dc6ab7672a6d5be7bb76d5ff6b9909f92a2ec6a1b3a7cba7270bea5f8cc9dad"
        );
        assert_eq!(
            hex(&channel.report_data(&config).unwrap()),
            "dd54b3db30cf22b36afe2793495ac9546ad5849e1ac0cebb287e9e0db6eaa2f54987d84479d84784f5e0aef9e0414f3f6da189658c081de8f6c4136a39f250ef"
        );
        assert_eq!(
            hex(&channel.extra_data(&config).unwrap()),
            "b9dabf26fcf7bbe9ce1ea298ca9acd41f70fa256a4021f073fd06b0557c4b541"
        );
        assert_eq!((Binding::Offline.report_data(&config), Binding::Offline.extra_data(&config)), (None, None));
    }
}
