//! A TPM's half of the exchange about its endorsement key: what TPM2_ActivateCredential does.

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher as _, KeyIvInit as _};
use hmac::{Hmac, Mac as _};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::EncodePublicKey as _;
use rsa::sha2::{Digest as _, Sha256};

use super::x509::{AT, Made, YEAR, purposes};

/// A TPM's endorsement key.
#[derive(Clone, Copy)]
pub enum EndorsementKey<'a> {
    /// RSA.
    Rsa(&'a rsa::RsaPrivateKey),
    /// On P-256.
    P256(&'a p256::ecdsa::SigningKey),
}

impl EndorsementKey<'_> {
    /// DER of the public key.
    pub fn spki(self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => super::snp::rsa_spki(key),
            Self::P256(key) => p256::PublicKey::from(key.verifying_key()).to_public_key_der().unwrap().as_bytes().to_vec(),
        }
    }

    /// What TPM2_ActivateCredential gives for TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET and a loaded key of this name.
    pub fn activate(self, credential: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        let (id_object, rest) = sized(credential)?;
        let (encrypted, rest) = sized(rest)?;
        rest.is_empty().then_some(())?;
        let seed = self.seed(encrypted)?;
        let (mac, identity) = sized(id_object)?;
        let integrity = derive(&seed, b"INTEGRITY", &[], 256);
        Hmac::<Sha256>::new_from_slice(&integrity).ok()?.chain_update(identity).chain_update(name).verify_slice(mac).ok()?;
        let mut secret = identity.to_vec();
        let key = derive(&seed, b"STORAGE", name, 128);
        cfb_mode::Decryptor::<Aes128>::new_from_slices(&key, &[0; 16]).ok()?.decrypt(&mut secret);
        let (secret, rest) = sized(&secret)?;
        rest.is_empty().then(|| secret.to_vec())
    }

    fn seed(self, encrypted: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => key.decrypt(rsa::Oaep::new_with_label::<Sha256, _>("IDENTITY\0"), encrypted).ok(),
            Self::P256(key) => {
                let (x, rest) = sized(encrypted)?;
                let (y, _) = sized(rest)?;
                let theirs = p256::PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).ok()?;
                let shared = (p256::ProjectivePoint::from(*theirs.as_affine()) * **key.as_nonzero_scalar()).to_affine();
                let shared = shared.to_encoded_point(false);
                let ours = key.verifying_key().to_encoded_point(false);
                let input = [&[0, 0, 0, 1], shared.x()?.as_slice(), b"IDENTITY\0", x, ours.x()?.as_slice()].concat();
                Some(Sha256::digest(input).to_vec())
            }
        }
    }
}

/// A certificate of an endorsement key by `issuer`, as it has to be.
pub fn endorsement(key: EndorsementKey<'_>, issuer: &str) -> Made {
    Made {
        subject: "TPM".into(),
        issuer: issuer.into(),
        serial: 9,
        validity: (AT - YEAR, AT + YEAR),
        spki: key.spki(),
        extensions: vec![purposes(&["2.23.133.8.1"])],
    }
}

fn derive(key: &[u8], label: &[u8], context: &[u8], bits: u16) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update([0, 0, 0, 1]).chain_update(label).chain_update([0]);
    let block = mac.chain_update(context).chain_update([0, 0]).chain_update(bits.to_be_bytes()).finalize().into_bytes();
    block[..usize::from(bits / 8)].to_vec()
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}
