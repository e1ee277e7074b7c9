//! A token's three parts (RFC 7515, section 7.1): header, claims, and a signature over both as they are written.

use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::base64url::decode;
use super::claims::Claims;

/// Bytes of a token. Real ones have a few hundred.
pub(super) const MAX_TOKEN: usize = 4096;

/// The claims, if one of `keys` signed them. A header says nothing that is believed: neither the algorithm, of which there is one, nor the key, of
/// which all are tried.
pub(super) fn verify(token: &[u8], keys: &[VerifyingKey]) -> Option<Claims> {
    if token.len() > MAX_TOKEN {
        return None;
    }
    let signed = token.iter().rposition(|byte| *byte == b'.')?;
    let (signed, signature) = (token.get(..signed)?, token.get(signed.checked_add(1)?..)?);
    // The last dot was taken off, so the claims hold none: a fourth part is no base64.
    let dot = signed.iter().position(|byte| *byte == b'.')?;
    let (header, claims) = (signed.get(..dot)?, signed.get(dot.checked_add(1)?..)?);

    serde_json::from_slice::<Header>(&decode(header)?).ok()?;
    let signature = Signature::from_slice(&decode(signature)?).ok()?;
    // Strictly: no key and no part of a signature from the small subgroup, by which one signature would be good for several texts.
    keys.iter().find(|key| key.verify_strict(signed, &signature).is_ok())?;
    serde_json::from_slice(&decode(claims)?).ok()
}

/// What a header may hold. Whatever else there is in the standards asks for something that isn't done here (`crit`, `b64`, `zip`, `enc`), or
/// offers a key (`jwk`, `jku`, `x5c`, `x5u`).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    #[serde(rename = "alg")]
    _algorithm: Algorithm,
    #[serde(rename = "typ", default)]
    _type: Option<Type>,
    #[serde(rename = "kid", default)]
    _key: Option<IgnoredAny>,
}

#[derive(Deserialize)]
enum Algorithm {
    /// RFC 8037, section 3.1. With these keys: Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

#[derive(Deserialize)]
enum Type {
    #[serde(rename = "JWT", alias = "jwt")]
    Jwt,
    /// RFC 9068, section 2.1.
    #[serde(rename = "at+jwt")]
    AccessToken,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    /// RFC 8037, appendix A: key, signing input and signature.
    #[test]
    fn the_signature_of_the_standard() {
        const D: &[u8] = b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
        const X: &[u8] = b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        const INPUT: &[u8] = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        const SIGNATURE: &[u8] = b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let key = VerifyingKey::from_bytes(&decode(X).unwrap().try_into().unwrap()).unwrap();
        assert_eq!(SigningKey::from_bytes(&decode(D).unwrap().try_into().unwrap()).verifying_key(), key);
        let signature = Signature::from_slice(&decode(SIGNATURE).unwrap()).unwrap();
        assert!(key.verify_strict(INPUT, &signature).is_ok());
        // Its content is no claims, so it is no token.
        assert!(verify(&[INPUT, b".", SIGNATURE].concat(), &[key]).is_none());
    }
}
