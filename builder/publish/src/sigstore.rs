//! Sigstore bundles about a release's pin, as publishers without a log of their own have them.
//!
//! What it must prove: that the publisher's identity signed an in-toto statement whose subject is exactly this `pin.json`, at a time
//! when its certificate was valid, and that a public log shows the entry. How it could fool: by taking any of the keys from the bundle
//! itself. So the roots (Fulcio, certificate logs, Rekor, time-stamping) come from a file that the caller trusts, and nothing is fetched.
//!
//! Source: Sigstore bundle format v0.3 (`sigstore_bundle.proto`), and what `sigstore-verify` implements: chain, signed certificate
//! timestamp, inclusion proof and checkpoint, signed entry timestamp, the entry's agreement with the bundle.

use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle, MediaType, SignatureContent};
use sigstore_verify::{Error, VerificationPolicy};

/// Longer bundles are refused unread. Usual ones have some 10 KB.
const MAX_BUNDLE: usize = 4 << 20;

/// Whom the caller wants a bundle to be from. Both are needed: identities mean something only at their issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The certificate's subject alternative name, exactly: a workflow's address, or a person's.
    pub identity: String,
    /// The OpenID Connect issuer that vouched for it.
    pub issuer: String,
}

/// What an accepted bundle showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// As in the certificate; equal to what was asked for.
    pub signer: Signer,
    /// When it was signed by the log's or a time-stamping authority's word, in seconds since 1970.
    pub at: Option<i64>,
}

/// Why a bundle does not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigstoreError {
    /// The bundle isn't one of the kind that is taken: v0.3 with an in-toto statement.
    #[error("the bundle: {0}")]
    Bundle(String),
    /// The file with trusted roots can't be used.
    #[error("the trusted root: {0}")]
    Root(String),
    /// Signature, certificate or subject don't hold.
    #[error("refused: {0}")]
    Signature(String),
    /// It is somebody's, and not the one's that was asked for.
    #[error("refused: {0}")]
    Signer(String),
    /// The log's proof or a timestamp doesn't hold.
    #[error("refused: {0}")]
    Transparency(String),
}

/// Checks that `bundle` is `signer`'s statement about `pin`, the bytes of a release's `pin.json`, by the roots in `root`.
///
/// # Errors
/// [`SigstoreError`], each of which means that nothing is shown.
pub fn verify(pin: &[u8], bundle: &str, root: &str, signer: &Signer) -> Result<Shown, SigstoreError> {
    if bundle.len() > MAX_BUNDLE {
        return Err(SigstoreError::Bundle(format!("it has {} bytes, more than the {MAX_BUNDLE} that are read", bundle.len())));
    }
    let bundle = Bundle::from_json(bundle).map_err(|e| SigstoreError::Bundle(e.to_string()))?;
    if bundle.media_type() != MediaType::Bundle0_3 {
        return Err(SigstoreError::Bundle(format!("it is {}, and version 0.3 is what is taken", bundle.media_type().as_str())));
    }
    if !matches!(bundle.content, SignatureContent::DsseEnvelope(_)) {
        return Err(SigstoreError::Bundle("it has a bare signature, and no statement that says what is signed".into()));
    }
    let root = TrustedRoot::from_json(root).map_err(|e| SigstoreError::Root(e.to_string()))?;
    // The strictest there is: nothing is skipped.
    let policy = VerificationPolicy::new(signer.identity.clone(), signer.issuer.clone());
    let result = sigstore_verify::verify(pin, &bundle, &policy, &root).map_err(refusal)?;
    let at = result.integrated_time().map(|time| time.as_second());
    Ok(Shown { signer: signer.clone(), at })
}

fn refusal(error: Error) -> SigstoreError {
    let text = error.to_string();
    match error {
        Error::IdentityMismatch { .. } | Error::IssuerMismatch { .. } => SigstoreError::Signer(text),
        Error::TransparencyLog(_) | Error::Timestamp(_) => SigstoreError::Transparency(text),
        Error::InvalidTrustRoot(_) | Error::TrustRoot(_) | Error::TrustedCertificate(_) => SigstoreError::Root(text),
        Error::InvalidBundle(_) | Error::UnsupportedBundle(_) | Error::Types(_) | Error::Bundle(_) => SigstoreError::Bundle(text),
        _ => SigstoreError::Signature(text),
    }
}
