//! What is known of one of the two images.

use std::collections::BTreeMap;

use sealstone_bom::provenance::{self, Provenance};
use sealstone_kconfig::Resolved;
use sealstone_release::hex::Sha256;
use sealstone_release::pin::{Pin, Profile};

use crate::places::Symbols;

/// Name of the pin among the files.
pub const PIN: &str = "pin.json";
/// Name of the kernel's configuration among the files.
pub const KERNEL_CONFIG: &str = "kernel.config";
/// Name of the kernel's symbols among the files. No output folder has it; whoever has the outputs of the actions may add it.
pub const SYSTEM_MAP: &str = "System.map";

/// Files by their name in the output folder.
pub type Files = BTreeMap<String, Vec<u8>>;

/// One image: as many of its files as there are, and what they say.
#[derive(Debug)]
pub struct Side {
    /// Its files.
    pub files: Files,
    /// Digests of every file that is known, from the files, the provenance, or the pin.
    pub digests: BTreeMap<String, Sha256>,
    /// Its pin.
    pub pin: Option<Pin>,
    /// Its provenance.
    pub provenance: Option<Provenance>,
    /// The kernel's configuration.
    pub config: Option<Resolved>,
    /// The kernel's symbols.
    pub symbols: Option<Symbols>,
}

/// A file that cannot be what its name says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SideError {
    /// A document could not be read.
    #[error("{file}: {problem}")]
    Document {
        /// Its name.
        file: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing to compare by.
    #[error("there is neither a pin.json nor a provenance.json; give a pin, an output folder or a release")]
    Nothing,
}

impl Side {
    /// What `files` say.
    ///
    /// # Errors
    /// [`SideError`] for documents that can't be read, and if there is neither pin nor provenance.
    pub fn of(files: Files) -> Result<Self, SideError> {
        let text = |file: &'static str| -> Result<Option<&str>, SideError> {
            let Some(bytes) = files.get(file) else { return Ok(None) };
            std::str::from_utf8(bytes).map(Some).map_err(|_| SideError::Document { file, problem: "it is not UTF-8".into() })
        };
        let refuse = |file| move |problem: &dyn std::fmt::Display| SideError::Document { file, problem: problem.to_string() };
        let pin = text(PIN)?.map(Pin::parse).transpose().map_err(|e| refuse(PIN)(&e))?;
        let provenance = text(provenance::FILE)?.map(Provenance::parse).transpose().map_err(|e| refuse(provenance::FILE)(&e))?;
        let config = text(KERNEL_CONFIG)?.map(|text| Resolved::parse(KERNEL_CONFIG, text)).transpose();
        let config = config.map_err(|e| refuse(KERNEL_CONFIG)(&e))?;
        let symbols = text(SYSTEM_MAP)?.map(Symbols::parse);
        if pin.is_none() && provenance.is_none() {
            return Err(SideError::Nothing);
        }
        let digests = digests(&files, pin.as_ref(), provenance.as_ref());
        Ok(Self { digests, files, pin, provenance, config, symbols })
    }

    /// The command line, from the file or the pin.
    pub fn cmdline(&self) -> Option<String> {
        let file = self.files.get("cmdline").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        file.or_else(|| self.pin.as_ref().map(|pin| pin.contents().image.cmdline.clone()))
    }
}

fn digests(files: &Files, pin: Option<&Pin>, provenance: Option<&Provenance>) -> BTreeMap<String, Sha256> {
    let mut all = BTreeMap::new();
    if let Some(pin) = pin {
        let image = &pin.contents().image;
        for (name, file) in
            [("vmlinuz", image.kernel), ("initrd", image.initrd), ("uki.efi", image.uki), ("disk.raw", image.disk)]
        {
            all.insert(name.to_owned(), file.sha256);
        }
        all.insert("cmdline".into(), Sha256::of(image.cmdline.as_bytes()));
        for profile in &pin.contents().profiles {
            let firmware = match profile {
                Profile::Snp(profile) => &profile.firmware,
                Profile::Tdx(profile) => &profile.firmware,
                _ => continue,
            };
            all.insert(format!("firmware/{}", firmware.name), firmware.sha256);
        }
    }
    for resource in provenance.into_iter().flat_map(|statement| &statement.subject) {
        all.insert(resource.name.clone(), Sha256::new(*resource.digest.sha256.as_bytes()));
    }
    all.extend(files.iter().map(|(name, bytes)| (name.clone(), Sha256::of(bytes))));
    all.remove(SYSTEM_MAP);
    all
}
