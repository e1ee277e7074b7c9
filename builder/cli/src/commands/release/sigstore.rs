//! `sealstone release verify --sigstore`

use std::path::Path;

use serde_json::{Value, json};

use crate::args::SigstoreArgs;
use crate::exit::Failure;

/// What came of a bundle: the exit code, and a sentence.
pub(super) struct Judged {
    code: u8,
    says: String,
}

impl Judged {
    pub(super) fn exit_code(&self) -> u8 {
        self.code
    }

    pub(super) fn to_text(&self) -> String {
        let outcome = if self.code == crate::exit::DONE { "ok" } else { "REFUSED" };
        format!("{outcome:<10} {:<29} {}", "sigstore", self.says)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({"accepted": self.code == crate::exit::DONE, "says": self.says})
    }
}

/// Judges the bundle that was given, if one was.
#[cfg(feature = "sigstore")]
pub(super) fn judge(release: &Path, args: &SigstoreArgs) -> Result<Option<Judged>, Failure> {
    use sealstone_publish::sigstore::{Signer, SigstoreError, verify};

    use sealstone_release::verdict::Refusal;

    use super::text;
    use crate::exit::{BAD_INPUT, DONE};

    let SigstoreArgs {
        sigstore: Some(bundle),
        sigstore_root: Some(root),
        sigstore_identity: Some(identity),
        sigstore_issuer: Some(issuer),
    } = args
    else {
        return Ok(None);
    };
    let pin = release.join(sealstone_release::folder::PIN);
    let pin = std::fs::read(&pin).map_err(|e| Failure::bad_input(format!("{}: {e}", pin.display())))?;
    let signer = Signer { identity: identity.clone(), issuer: issuer.clone() };
    let judged = match verify(&pin, &text(bundle)?, &text(root)?, &signer) {
        Ok(shown) => {
            let at = shown.at.map_or_else(|| "at a time that an authority stamped".to_owned(), |at| format!("at {at}"));
            Judged { code: DONE, says: format!("by {identity}, as {issuer} says, {at}") }
        }
        Err(error) => {
            let code = match &error {
                SigstoreError::Signer(_) => Refusal::Policy.exit_code(),
                SigstoreError::Transparency(_) => Refusal::Transparency.exit_code(),
                SigstoreError::Signature(_) => Refusal::Signature.exit_code(),
                _ => return Err(Failure::new(BAD_INPUT, anyhow::anyhow!("{}: {error}", bundle.display()))),
            };
            Judged { code, says: error.to_string() }
        }
    };
    Ok(Some(judged))
}

/// Without the feature nothing can be said of a bundle, which is no reason to pass it over.
#[cfg(not(feature = "sigstore"))]
pub(super) fn judge(_release: &Path, args: &SigstoreArgs) -> Result<Option<Judged>, Failure> {
    match &args.sigstore {
        None => Ok(None),
        Some(_) => Err(Failure::failed(
            "this program was built without Sigstore; build it with `cargo build --release --features sigstore`",
        )),
    }
}
