//! `sealstone release notice`

use std::path::Path;

use sealstone_publish::{folder, keys};
use sealstone_release::key::SigningKey;
use sealstone_release::statement::notice::Notice;

use super::pin_of;
use crate::args::{Notice as What, NoticeArgs, SignedArgs};
use crate::exit::{DONE, Failure, Outcome};

pub(crate) fn run(args: &NoticeArgs) -> Outcome {
    match &args.what {
        What::Superseded { release, by, signed } => {
            one(signed, &Notice::Superseded { pin: pin_of(release)?.id(), by: pin_of(by)?.id() })
        }
        What::Revoked { release, reason, signed } => {
            one(signed, &Notice::Revoked { pin: pin_of(release)?.id(), reason: reason.clone() })
        }
        What::KeyRotated { new_key, keep, signed } => {
            let (old, new) = (keys::read_signing(&signed.key)?, keys::read_signing(new_key)?);
            let keeps = keep.iter().map(|dir| Ok(pin_of(dir)?.id())).collect::<Result<_, Failure>>()?;
            let notice = Notice::KeyRotated { old: old.verifier().clone(), new: new.verifier().clone(), keeps };
            write(&signed.out, &notice, &[&old, &new])
        }
        What::KeyRevoked { reason, signed } => {
            let key = keys::read_signing(&signed.key)?.verifier().clone();
            one(signed, &Notice::KeyRevoked { key, reason: reason.clone() })
        }
    }?;
    Ok(DONE)
}

fn one(signed: &SignedArgs, notice: &Notice) -> Result<(), Failure> {
    write(&signed.out, notice, &[&keys::read_signing(&signed.key)?])
}

/// Signs a notice and writes it to a new file.
pub(super) fn write(file: &Path, notice: &Notice, keys: &[&SigningKey]) -> Result<(), Failure> {
    let envelope = notice.sign(keys).map_err(Failure::bad_input)?;
    folder::create_file(file, envelope.to_text().as_bytes())?;
    println!("{}", file.display());
    Ok(())
}
