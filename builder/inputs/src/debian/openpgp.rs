//! Who signed a text: OpenPGP keys and clear-signed messages (RFC 9580), as far as Debian's archives use them.
//!
//! A message is accepted as soon as one signature on it is by a key of the keyring, as apt does: archives sign with the
//! keys of several releases at once. A signature by an unknown key says nothing, good or bad; a wrong one by a known key
//! refuses the message, whatever else is on it.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};
use sealstone_spec::UtcTime;

/// Larger than any real InRelease (150 kB) or key file by far; what a mirror sends beyond it isn't even looked at.
const MOST_BYTES: usize = 4 << 20;
/// Real messages carry three signatures. Each costs a public-key operation, so a hostile mirror gets to demand few.
const MOST_SIGNATURES: usize = 16;

/// Public keys that may sign an archive's index.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// Why a signed text isn't trusted, or a key file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The key file holds no usable key. It is part of the repository, so restore or correct it.
    #[error("the key file {file} can't be used: {reason}; it has to hold ASCII-armoured public keys")]
    BadKeys {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The text isn't a clear-signed message: cut off, or an error page.
    #[error("it isn't a clear-signed message ({reason}); try again or use another mirror")]
    NotSigned {
        /// What is wrong with it.
        reason: String,
    },
    /// Only keys that the spec doesn't trust have signed it.
    #[error("it is signed by {} only, none of which the key file has; if the archive has new keys, compare their fingerprints and add them", signers.join(", "))]
    UnknownSigner {
        /// Fingerprints or key ids, in upper-case hex.
        signers: Vec<String>,
    },
    /// A trusted key's signature doesn't fit the text: somebody has changed it.
    #[error("the signature by {signer} is wrong: the text isn't what that key signed; use another mirror")]
    WrongSignature {
        /// Fingerprint of the key.
        signer: String,
    },
    /// A trusted key signed it, in a way or at a time that isn't accepted.
    #[error("the signature by {signer} isn't accepted: {reason}")]
    Unacceptable {
        /// Fingerprint of the key.
        signer: String,
        /// Why not, and what to do.
        reason: String,
    },
}

impl Keyring {
    /// Reads ASCII-armoured public keys, one or more blocks in a file.
    ///
    /// # Errors
    /// [`SignatureError::BadKeys`] if there is none, or any of them can't be read.
    pub fn parse(file: &str, armoured: &[u8]) -> Result<Keyring, SignatureError> {
        let bad = |reason: String| SignatureError::BadKeys { file: file.to_owned(), reason };
        let text = std::str::from_utf8(armoured).map_err(|error| bad(error.to_string()))?;
        const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
        let mut keys = Vec::new();
        for block in text.split(BEGIN).skip(1) {
            let block = format!("{BEGIN}{block}");
            let (found, _) = SignedPublicKey::from_string_many(&block).map_err(|error| bad(error.to_string()))?;
            for key in found {
                keys.push(key.map_err(|error| bad(error.to_string()))?);
            }
        }
        if keys.is_empty() {
            return Err(bad("there is no public key in it".to_owned()));
        }
        Ok(Keyring { keys })
    }

    /// Checks a clear-signed message and returns the text that was signed, with `\n` line ends.
    ///
    /// # Errors
    /// See [`SignatureError`]. `now` decides whether keys have expired.
    pub fn verify(&self, message: &[u8], now: UtcTime) -> Result<String, SignatureError> {
        let unsigned = |reason: String| SignatureError::NotSigned { reason };
        if message.len() > MOST_BYTES {
            return Err(unsigned(format!("it has {} bytes, and more than {MOST_BYTES} can't be right", message.len())));
        }
        let (message, _) = std::str::from_utf8(message)
            .map_err(|error| unsigned(error.to_string()))
            .and_then(|text| CleartextSignedMessage::from_string(text).map_err(|error| unsigned(error.to_string())))?;
        if message.signatures().is_empty() || message.signatures().len() > MOST_SIGNATURES {
            return Err(unsigned(format!("it carries {} signatures", message.signatures().len())));
        }
        let text = message.signed_text();
        let mut accepted = false;
        let mut strangers = Vec::new();
        for signature in message.signatures() {
            match self.signer(signature) {
                None => strangers.push(issuer(signature)),
                Some(signer) => {
                    signer.check(signature, &text, now)?;
                    accepted = true;
                }
            }
        }
        if !accepted {
            return Err(SignatureError::UnknownSigner { signers: strangers });
        }
        Ok(text.replace("\r\n", "\n"))
    }

    /// The key that a signature says it was made by.
    fn signer(&self, signature: &Signature) -> Option<Signer<'_>> {
        let issued_by = |key: &dyn KeyDetails| {
            let (fingerprint, id) = (key.fingerprint(), key.legacy_key_id());
            match signature.issuer_fingerprint().as_slice() {
                [] => signature.issuer_key_id().contains(&&id),
                issuers => issuers.contains(&&fingerprint),
            }
        };
        self.keys.iter().find_map(|key| {
            if issued_by(&key.primary_key) {
                return Some(Signer { key, subkey: None });
            }
            let subkey = key.public_subkeys.iter().find(|subkey| issued_by(&subkey.key))?;
            Some(Signer { key, subkey: Some(subkey) })
        })
    }
}

fn issuer(signature: &Signature) -> String {
    let fingerprint = signature.issuer_fingerprint().first().map(ToString::to_string);
    let id = || signature.issuer_key_id().first().map(ToString::to_string);
    fingerprint.or_else(id).map_or_else(|| "an unnamed key".to_owned(), |name| name.to_uppercase())
}

/// A key of the keyring, or one of its subkeys.
struct Signer<'k> {
    key: &'k SignedPublicKey,
    subkey: Option<&'k SignedPublicSubKey>,
}

impl Signer<'_> {
    fn name(&self) -> String {
        let fingerprint = match self.subkey {
            Some(subkey) => subkey.key.fingerprint(),
            None => self.key.primary_key.fingerprint(),
        };
        fingerprint.to_string().to_uppercase()
    }

    fn check(&self, signature: &Signature, text: &str, now: UtcTime) -> Result<(), SignatureError> {
        let unacceptable = |reason: &str| SignatureError::Unacceptable { signer: self.name(), reason: reason.to_owned() };
        let verified = match self.subkey {
            Some(subkey) => signature.verify(&subkey.key, text.as_bytes()),
            None => signature.verify(&self.key.primary_key, text.as_bytes()),
        };
        verified.map_err(|_| SignatureError::WrongSignature { signer: self.name() })?;
        // The same bytes could have been signed to say something else, such as "this key is certified".
        if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
            return Err(unacceptable("it is a signature of another sort than those of documents"));
        }
        if !matches!(signature.hash_alg(), Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512)) {
            return Err(unacceptable("its digest algorithm isn't one of SHA-256, SHA-384 and SHA-512"));
        }
        let created = signature.created().map(|time| u64::from(time.as_secs()));
        let lifetime = signature.signature_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
        match created {
            None => return Err(unacceptable("it doesn't say when it was made")),
            Some(created) if lifetime > 0 && created.saturating_add(lifetime) <= now.unix() => {
                return Err(unacceptable("it has expired; use another mirror"));
            }
            Some(_) => {}
        }
        self.check_primary(now).and_then(|()| self.check_subkey(now)).map_err(unacceptable)
    }

    fn check_primary(&self, now: UtcTime) -> Result<(), &'static str> {
        let (key, details) = (&self.key.primary_key, &self.key.details);
        if details.revocation_signatures.iter().any(|revocation| revocation.verify_key(key).is_ok()) {
            return Err("the key file says that the key is revoked; remove it there");
        }
        let by_user = details.users.iter().flat_map(|user| {
            user.signatures.iter().filter(|binding| binding.verify_certification(key, Tag::UserId, &user.id).is_ok())
        });
        let direct = details.direct_signatures.iter().filter(|binding| binding.verify_key(key).is_ok());
        let newest = by_user.chain(direct).filter(|binding| binding.is_certification() || is_direct(binding));
        let newest = newest.max_by_key(|binding| binding.created().map(|time| time.as_secs()));
        let newest = newest.ok_or("the key doesn't certify itself; export it again with its user ids")?;
        if self.subkey.is_none() && !newest.key_flags().sign() {
            return Err("the key isn't one for signing");
        }
        not_expired(key, newest, now)
    }

    fn check_subkey(&self, now: UtcTime) -> Result<(), &'static str> {
        let Some(subkey) = self.subkey else { return Ok(()) };
        let primary = &self.key.primary_key;
        let valid = |binding: &&Signature| binding.verify_subkey_binding(primary, &subkey.key).is_ok();
        let of_type = |typ| subkey.signatures.iter().filter(move |binding| binding.typ() == Some(typ));
        if of_type(SignatureType::SubkeyRevocation).next().is_some() {
            return Err("the key file says that the subkey is revoked; remove it there");
        }
        let newest = of_type(SignatureType::SubkeyBinding).filter(valid);
        let newest = newest.max_by_key(|binding| binding.created().map(|time| time.as_secs()));
        let newest = newest.ok_or("the subkey isn't bound to its primary key")?;
        // Without the subkey's own consent anybody could adopt a foreign signing key as his subkey.
        let back = newest.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
        if !newest.key_flags().sign() || !back {
            return Err("the subkey isn't one for signing");
        }
        not_expired(&subkey.key, newest, now)
    }
}

fn is_direct(signature: &Signature) -> bool {
    signature.typ() == Some(SignatureType::Key)
}

fn not_expired(key: &impl VerifyingKey, binding: &Signature, now: UtcTime) -> Result<(), &'static str> {
    let lifetime = binding.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
    let end = u64::from(key.created_at().as_secs()).saturating_add(lifetime);
    if lifetime > 0 && end <= now.unix() {
        return Err("the key has expired; add the archive's present keys to the key file after comparing fingerprints");
    }
    Ok(())
}
