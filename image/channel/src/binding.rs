//! What evidence must carry to belong to a session.

use sha2::{Digest, Sha256, Sha512};

/// Separates these digests from all others, and this version from later ones.
const LABEL: &[u8] = b"sealstone/channel/v1\0";

/// The same for evidence that is asked for with a nonce, in the open.
const NONCE_LABEL: &[u8] = b"sealstone/evidence/v1\0";

/// 64 bytes for the field that an SEV-SNP or TDX report has for its user, when somebody asked with a nonce: SHA-512 of the
/// label, the nonce, and the SHA-256 of the measured configuration's canonical bytes. It binds no session.
pub fn nonce_report_data(nonce: &[u8; 32], config_sha256: &[u8; 32]) -> [u8; 64] {
    Sha512::new().chain_update(NONCE_LABEL).chain_update(nonce).chain_update(config_sha256).finalize().into()
}

/// The Noise handshake's final hash: differs between any two sessions, because both ends' ephemeral keys are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeHash(pub [u8; 32]);

impl HandshakeHash {
    /// 64 bytes for the field that an SEV-SNP or TDX report has for its user: SHA-512 of the label, this hash, the SHA-256
    /// of the measured configuration's canonical bytes, and the SHA-256 of evidence about devices (zeros without any).
    pub fn report_data(&self, config_sha256: &[u8; 32], device: &[u8; 32]) -> [u8; 64] {
        Sha512::new().chain_update(LABEL).chain_update(self.0).chain_update(config_sha256).chain_update(device).finalize().into()
    }

    /// The qualifying data of a TPM's quote: SHA-256 of [`HandshakeHash::report_data`], because a TPM takes no 64 bytes.
    pub fn qualifying_data(&self, config_sha256: &[u8; 32], device: &[u8; 32]) -> [u8; 32] {
        Sha256::digest(self.report_data(config_sha256, device)).into()
    }

    /// 32 bytes that are this session's and that don't give the hash away: for what must not be shared between sessions.
    pub fn salt(&self) -> [u8; 32] {
        Sha256::new().chain_update(b"sealstone/channel/v1/salt\0").chain_update(self.0).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_formula_is_the_documented_one() {
        // { printf 'sealstone/channel/v1\0'; printf '\x11%.0s' $(seq 32); printf config | openssl dgst -sha256 -binary; head -c 32 /dev/zero; } |
        //   openssl dgst -sha512 -binary | tee >(xxd -p -c 64 >&2) | sha256sum
        let config = Sha256::digest(b"config").into();
        let hash = HandshakeHash([0x11; 32]);
        assert_eq!(
            hex(&hash.report_data(&config, &[0; 32])),
            "9ad8e487d00cf0f72d972d723a06c61b00450d3b47c64f1c20d2147e487bedf5cfec39d15a552351fd2040dfb8fc77576da6ff00398ecfc1d7bfa557d77d9e02"
        );
        assert_eq!(
            hex(&hash.qualifying_data(&config, &[0; 32])),
            "5798583d2776048cce78b71800b0db38ece049e2e8f41d60681ef3c01f3bd330"
        );
    }

    #[test]
    fn so_is_the_formula_for_a_nonce() {
        // { printf 'sealstone/evidence/v1\0'; printf '\x11%.0s' $(seq 32); printf config | openssl dgst -sha256 -binary; } | sha512sum
        let config = Sha256::digest(b"config").into();
        assert_eq!(
            hex(&nonce_report_data(&[0x11; 32], &config)),
            "c01b89f482819b30f45e0f5b434c75c78be171a7024899379750c5c67d87703f107329362917e684ba93c0819b49c816e35605998cd89e24e4c6ee47087765c3"
        );
    }

    #[test]
    fn every_input_matters() {
        let all = [
            HandshakeHash([1; 32]).report_data(&[2; 32], &[3; 32]),
            HandshakeHash([0; 32]).report_data(&[2; 32], &[3; 32]),
            HandshakeHash([1; 32]).report_data(&[0; 32], &[3; 32]),
            HandshakeHash([1; 32]).report_data(&[2; 32], &[0; 32]),
        ];
        for (index, data) in all.iter().enumerate() {
            assert!(!all[..index].contains(data), "{index}");
        }
    }
}
