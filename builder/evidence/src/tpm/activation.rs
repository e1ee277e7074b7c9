//! The client's half of the exchange: TPM2_MakeCredential in software, and the judgement on the answer.
//!
//! A secret is encrypted to the endorsement key together with the attestation key's name, so that only a TPM that has both gives it
//! back. Source: TPM 2.0 Library, revision 1.59, Part 1, section 24 (credential protection), 11.4.10 (KDFs), annexes B.10.4 (RSA) and C.6.4 (ECC).

use aes::Aes128;
use cfb_mode::cipher::{AsyncStreamCipher as _, KeyIvInit as _};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac as _};
use p256::elliptic_curve::ops::Reduce as _;
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::elliptic_curve::subtle::ConstantTimeEq as _;
use p256::{AffinePoint, NonZeroScalar, ProjectivePoint};
use rsa::rand_core::{CryptoRng, Error, RngCore};
// The one that `hmac` and `rsa` are made for.
use rsa::sha2::{Digest as _, Sha256};

use crate::x509::PublicKey;

use super::endorsement::{Activated, EndorsementCertificate, is_standard};
use super::key::AttestationKey;

/// Labels of the key derivations (Part 1, 24.2 and 24.4), each with the zero byte that ends it.
const IDENTITY: &str = "IDENTITY\0";
const STORAGE: &str = "STORAGE\0";
const INTEGRITY: &str = "INTEGRITY\0";

/// Random bytes for one exchange. Each field must be new, and nobody else's to know: with them anybody can answer.
pub struct Randomness {
    /// What the TPM has to say.
    pub secret: [u8; 32],
    /// The seed of the keys that protect it (RSA), or an ephemeral private key (P-256).
    pub seed: [u8; 32],
    /// What OAEP mixes in; not used on P-256.
    pub padding: [u8; 32],
}

/// The exchange can't be made with these keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The key came without a TPM's public area, or has a name by an unknown hash: there is no name to bind to.
    #[error("the attestation key has no name")]
    Nameless,
    /// It may sign what the TPM didn't make, or leave it: that it is in a TPM would say nothing.
    #[error("the attestation key isn't a restricted signing key that stays in its TPM")]
    NotAttesting,
    /// No TPM makes such a key from a standard template.
    #[error("the endorsement key is neither RSA 2048 nor on P-256")]
    Endorsement,
}

/// An exchange that has begun. It is for one answer.
pub struct Challenge {
    secret: [u8; 32],
    name: Vec<u8>,
    certificate: EndorsementCertificate,
}

impl Challenge {
    /// Begins one: whether `key` is in the TPM whose endorsement key `certificate` certifies. Returns also what to send:
    /// TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, one after the other, as TPM2_ActivateCredential takes them: 328 bytes for an
    /// RSA key, 142 on P-256.
    ///
    /// The certificate's chain isn't looked at here; [`Activated::verify`] does.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub fn new(
        key: &AttestationKey,
        certificate: EndorsementCertificate,
        randomness: Randomness,
    ) -> Result<(Self, Vec<u8>), ChallengeError> {
        let name = key.name.clone().ok_or(ChallengeError::Nameless)?;
        if key.attributes.is_none() || !key.is_restricted_signing_key() {
            return Err(ChallengeError::NotAttesting);
        }
        let (seed, encrypted) = encrypted_seed(certificate.key(), &randomness).ok_or(ChallengeError::Endorsement)?;
        let credential = [tpm2b(&protected(&seed, &name, &randomness.secret)), tpm2b(&encrypted)].concat();
        Ok((Self { secret: randomness.secret, name, certificate }, credential))
    }

    /// What follows from the TPM's answer: nothing, unless it is the secret.
    pub fn judge(self, answer: &[u8]) -> Option<Activated> {
        let is_right = bool::from(self.secret.as_slice().ct_eq(answer));
        is_right.then_some(Activated { name: self.name, certificate: self.certificate })
    }
}

/// TPMS_ID_OBJECT (Part 2, 12.4.2): a MAC, and the secret encrypted.
fn protected(seed: &[u8; 32], name: &[u8], secret: &[u8]) -> Vec<u8> {
    let key: [u8; 16] = kdfa(seed, STORAGE, name);
    let mut identity = tpm2b(secret);
    // The initialisation vector is zero because the key is used once.
    cfb_mode::Encryptor::<Aes128>::new(&key.into(), &[0; 16].into()).encrypt(&mut identity);
    let mac = hmac(&kdfa::<32>(seed, INTEGRITY, &[]), &[&identity, name]);
    [tpm2b(&mac), identity].concat()
}

/// A seed that only the holder of `key` learns, and the contents of TPM2B_ENCRYPTED_SECRET, by which it does. Nothing if no TPM has
/// such a key.
fn encrypted_seed(key: &PublicKey, randomness: &Randomness) -> Option<([u8; 32], Vec<u8>)> {
    if !is_standard(key) {
        return None;
    }
    match key {
        PublicKey::Rsa(key) => {
            let padding = rsa::Oaep::new_with_label::<Sha256, _>(IDENTITY);
            let encrypted = key.encrypt(&mut Padding::new(randomness.padding), padding, &randomness.seed).ok()?;
            Some((randomness.seed, encrypted))
        }
        PublicKey::P256(key) => Some(agreed_seed(key.as_affine(), &randomness.seed)),
        PublicKey::P384(_) => None,
    }
}

/// One-pass Diffie-Hellman with an ephemeral key made of `random`; what is sent is its TPMS_ECC_POINT.
fn agreed_seed(endorsement: &AffinePoint, random: &[u8; 32]) -> ([u8; 32], Vec<u8>) {
    // Modulo the order less one, plus one: never zero, by which anybody would know the secret.
    let private = NonZeroScalar::reduce_bytes(&(*random).into());
    let [x, y] = coordinates(&(ProjectivePoint::GENERATOR * *private).to_affine());
    let [shared, _] = coordinates(&(ProjectivePoint::from(*endorsement) * *private).to_affine());
    let [theirs, _] = coordinates(endorsement);
    // KDFe: the counter, which is 1 for so few bytes, the shared secret, the label, and both parties' x.
    let seed = Sha256::new().chain_update([0, 0, 0, 1]).chain_update(shared).chain_update(IDENTITY);
    let seed = seed.chain_update(x).chain_update(theirs).finalize();
    (seed.into(), [tpm2b(&x), tpm2b(&y)].concat())
}

/// x and y. Neither factor of a product here is zero on a curve of prime order, so no point is at infinity; of that both would be zero.
fn coordinates(point: &AffinePoint) -> [[u8; 32]; 2] {
    let point = point.to_encoded_point(false);
    [point.x(), point.y()].map(|coordinate| coordinate.map_or([0; 32], |bytes| (*bytes).into()))
}

/// KDFa with SHA-256, for at most 32 bytes.
fn kdfa<const BYTES: usize>(key: &[u8; 32], label: &str, context: &[u8]) -> [u8; BYTES] {
    const { assert!(BYTES <= 32) };
    let bits = u32::try_from(BYTES.saturating_mul(8)).unwrap_or(u32::MAX);
    let block = hmac(key, &[&[0, 0, 0, 1], label.as_bytes(), context, &bits.to_be_bytes()]);
    std::array::from_fn(|at| block.get(at).copied().unwrap_or_default())
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key is padded to a block with zeros (FIPS 198-1); done here because then there is no length to be wrong.
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

/// A TPM2B: two bytes of length, then that many; none here is longer than a key.
fn tpm2b(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat()
}

/// What OAEP takes for random: SHA-256 of 32 random bytes and a counter. It takes 32 bytes, once.
struct Padding {
    seed: [u8; 32],
    counter: u32,
}

impl Padding {
    fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }
}

impl RngCore for Padding {
    fn next_u32(&mut self) -> u32 {
        rsa::rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rsa::rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(32) {
            let block = Sha256::new().chain_update(self.seed).chain_update(self.counter.to_be_bytes()).finalize();
            piece.iter_mut().zip(block).for_each(|(byte, random)| *byte = random);
            self.counter = self.counter.wrapping_add(1);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// As unpredictable as its seed.
impl CryptoRng for Padding {}

#[cfg(test)]
mod tests;
