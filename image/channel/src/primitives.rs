//! The primitives behind snow: X25519, AES-256-GCM, SHA-256, and randomness that the caller brought.
//!
//! snow has implementations of its own; these instead because they zeroize keys, keep AES's key schedule between messages,
//! and use the SHA-2 that the image has anyway.

use std::cell::Cell;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use curve25519_dalek::montgomery::MontgomeryPoint;
use sha2::{Digest, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use crate::limits::TAG;

/// 32 secret bytes: a private key, or what becomes one.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Hands out `Noise_NX_25519_AESGCM_SHA256`'s primitives and nothing else, and the given randomness once.
pub(crate) struct Primitives(Cell<Option<Secret>>);

impl Primitives {
    /// `ephemeral` becomes the handshake's ephemeral private key.
    pub(crate) fn new(ephemeral: Secret) -> Self {
        Self(Cell::new(Some(ephemeral)))
    }
}

impl CryptoResolver for Primitives {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(self.0.take())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        matches!(choice, DHChoice::Curve25519).then(|| Box::<X25519>::default() as Box<dyn Dh>)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        matches!(choice, HashChoice::SHA256).then(|| Box::<Hasher>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        matches!(choice, CipherChoice::AESGCM).then(|| Box::<AesGcm>::default() as Box<dyn Cipher>)
    }
}

/// Gives its 32 bytes once, and then nothing: a handshake of NX needs one ephemeral key on each side.
struct Once(Option<Secret>);

impl Random for Once {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let secret = self.0.take().filter(|secret| secret.len() == dest.len()).ok_or(snow::Error::Rng)?;
        dest.copy_from_slice(&*secret);
        Ok(())
    }
}

/// RFC 7748. A public key of low order gives an all-zero secret, which Noise (section 12.1) would rather not have refused: the
/// handshake's hash has both public keys, and so has whatever vouches for it.
#[derive(Default)]
struct X25519 {
    private: Secret,
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, private: &[u8]) {
        // snow passes what `local_private_key` was given, which is always 32 bytes here.
        if let Ok(bytes) = <[u8; 32]>::try_from(private) {
            self.private = Zeroizing::new(bytes);
            self.public = MontgomeryPoint::mul_base_clamped(bytes).to_bytes();
        }
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut secret = Secret::default();
        rng.try_fill_bytes(&mut *secret)?;
        self.set(&*secret);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &*self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let point = public.get(..32).and_then(|key| <[u8; 32]>::try_from(key).ok()).map(MontgomeryPoint);
        let shared = Zeroizing::new(point.ok_or(snow::Error::Dh)?.mul_clamped(*self.private).to_bytes());
        out.get_mut(..32).ok_or(snow::Error::Dh)?.copy_from_slice(&*shared);
        Ok(())
    }
}

#[derive(Default)]
struct Hasher(Sha256);

impl Hash for Hasher {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0 = Sha256::new();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self, out: &mut [u8]) {
        // snow's buffers have room for its longest digest.
        if let Some(out) = out.get_mut(..32) {
            out.copy_from_slice(&self.0.finalize_reset());
        }
    }
}

/// NIST SP 800-38D with Noise's nonces: 32 zero bits, then the counter, big-endian (Noise, section 12.4).
#[derive(Default)]
struct AesGcm(Option<Aes256Gcm>);

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    let (_, tail) = nonce.split_at_mut(4);
    tail.copy_from_slice(&counter.to_be_bytes());
    nonce
}

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; 32]) {
        self.0 = Some(Aes256Gcm::new(key.into()));
    }

    /// snow checks that `out` has room before it calls. 0, which snow and [`crate::noise`] take for no message, can't come up.
    fn encrypt(&self, counter: u64, authtext: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        let mut sealed = || {
            let (body, rest) = out.split_at_mut_checked(plaintext.len())?;
            let buffer = InOutBuf::new(plaintext, body).ok()?;
            let tag = self.0.as_ref()?.encrypt_inout_detached(&nonce(counter).into(), authtext, buffer).ok()?;
            rest.get_mut(..TAG)?.copy_from_slice(&tag);
            plaintext.len().checked_add(TAG)
        };
        sealed().unwrap_or(0)
    }

    fn decrypt(&self, counter: u64, authtext: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        let mut opened = || {
            let (body, tag) = ciphertext.split_at_checked(ciphertext.len().checked_sub(TAG)?)?;
            let tag = <[u8; TAG]>::try_from(tag).ok()?;
            let buffer = InOutBuf::new(body, out.get_mut(..body.len())?).ok()?;
            self.0.as_ref()?.decrypt_inout_detached(&nonce(counter).into(), authtext, buffer, &tag.into()).ok()?;
            Some(body.len())
        };
        opened().ok_or(snow::Error::Decrypt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    fn resolver(ephemeral: &str) -> Box<Primitives> {
        Box::new(Primitives::new(Zeroizing::new(unhex(ephemeral).try_into().unwrap())))
    }

    /// The vector for this protocol among those that the `cacophony` implementation publishes.
    #[test]
    fn a_published_vector() {
        let builder = |ephemeral| {
            let name = "Noise_NX_25519_AESGCM_SHA256".parse().unwrap();
            snow::Builder::with_resolver(name, resolver(ephemeral)).prologue(b"John Galt").unwrap()
        };
        let mut client = builder("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a").build_initiator().unwrap();
        let key = unhex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
        let mut server = builder("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b")
            .local_private_key(&key)
            .unwrap()
            .build_responder()
            .unwrap();
        let mut buffer = [0; 256];
        let length = client.write_message(b"Ludwig von Mises", &mut buffer).unwrap();
        let hello = "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573";
        assert_eq!(buffer[..length], unhex(hello));
        assert_eq!(server.read_message(&unhex(hello), &mut buffer), Ok(16));
        let length = server.write_message(b"Murray Rothbard", &mut buffer).unwrap();
        let reply = "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088435783d9758cb7e00c45a7d00ddc333aae968443c64f650b54a2ea7e0c1b67c27553968441fb058c1e460d676214dfbca9a3d5a445439da611c7a5697b6e6d488332952854c05202c76277d5e02b374d";
        assert_eq!(buffer[..length], unhex(reply));
        assert_eq!(client.read_message(&unhex(reply), &mut buffer), Ok(15));
        let hash = unhex("3011330d120f21c20d157acf436e8ae24828bee5376bc97108575beb04563b45");
        assert_eq!((client.get_handshake_hash(), server.get_handshake_hash()), (&hash[..], &hash[..]));
        let (mut client, mut server) = (client.into_transport_mode().unwrap(), server.into_transport_mode().unwrap());
        let length = client.write_message(b"F. A. Hayek", &mut buffer).unwrap();
        assert_eq!(buffer[..length], unhex("019b4087a1fa140e05486824cbdf79ef1744271ffd2124feb93d97"));
        let length = server.write_message(b"Carl Menger", &mut buffer).unwrap();
        assert_eq!(buffer[..length], unhex("c8f304c719ab66533a42878b47b23dc8dfc839b962c675ef2bd383"));
    }

    #[test]
    fn randomness_is_given_out_once() {
        let resolver = resolver(&"07".repeat(32));
        let (mut bytes, mut first, mut second) = ([0; 32], resolver.resolve_rng().unwrap(), resolver.resolve_rng().unwrap());
        assert_eq!(first.try_fill_bytes(&mut bytes), Ok(()));
        assert_eq!(bytes, [7; 32]);
        assert!(first.try_fill_bytes(&mut bytes).is_err() && second.try_fill_bytes(&mut bytes).is_err());
    }
}
