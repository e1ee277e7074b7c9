//! Unified kernel images: which sections the stub inside measures and what it hands to the kernel (systemd
//! `src/boot/efi/stub.c`, `src/fundamental/tpm-pcr.c`). The stub's behaviour is data: `profiles/stub/*.json`.

use serde::Deserialize;

use super::{Pe, PeError, Section};
use crate::read;

/// Where the stub writes its version.
const MAGIC_PREFIX: &[u8] = b"#### LoaderInfo: systemd-stub ";
/// Every section name that some version of the stub reads; a profile names those of its own version.
pub const STUB_SECTIONS: [&str; 15] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".dtbauto", ".uname", ".sbat", ".pcrsig", ".pcrpkey",
    ".profile", ".hwids", ".efifw",
];

/// What one version of systemd-stub does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StubProfile {
    /// Layout version of the data file.
    pub schema: String,
    /// Name.
    pub id: String,
    /// The stub's version, up to its first dot or dash.
    pub version: String,
    /// Where the behaviour is known from.
    pub sources: Vec<String>,
    /// Sections that are measured into PCR 11 if present, in this order, name and data each.
    pub stub_sections: Vec<String>,
    /// Sections from which the stub makes further initrds, so that PCR 9 isn't the hash of `.initrd`. UKIs that have one
    /// are refused.
    pub initrd_sections: Vec<String>,
    /// Section names that this version knows nothing of but matches by prefix; UKIs that have one are refused.
    pub refused_sections: Vec<String>,
}

impl StubProfile {
    fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let sections = [&profile.stub_sections, &profile.initrd_sections, &profile.refused_sections];
        if let Some(name) = sections.into_iter().flatten().find(|name| !STUB_SECTIONS.contains(&name.as_str())) {
            return Err(format!("unknown section {name:?}"));
        }
        if profile.schema != "sealstone/systemd-stub/v1" {
            return Err(format!("unknown schema {:?}", profile.schema));
        }
        Ok(profile)
    }
}

const FILES: [&str; 1] = [include_str!("../../profiles/stub/systemd-252.json")];

/// All stubs that are described. (Each file is parsed by a test, so none is left out here.)
pub fn stub_profiles() -> Vec<StubProfile> {
    FILES.iter().filter_map(|text| StubProfile::parse(text).ok()).collect()
}

/// A UKI whose stub is known.
#[derive(Debug, Clone)]
pub struct Uki<'a> {
    /// The image.
    pub pe: Pe<'a>,
    /// Its stub's behaviour.
    pub stub: StubProfile,
}

impl<'a> Uki<'a> {
    /// Reads a UKI and finds its stub's profile.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UkiError> {
        let pe = Pe::parse(bytes)?;
        let version = stub_version(&pe)?;
        let major = version.split(['.', '-', '~']).next().unwrap_or_default();
        let stub = stub_profiles().into_iter().find(|profile| profile.version == major);
        let uki = Self { stub: stub.ok_or(UkiError::UnknownStub(version))?, pe };
        uki.check()?;
        Ok(uki)
    }

    /// The data of a section as the stub sees it in memory: `virtual_size` bytes. `None` if the UKI doesn't have it.
    pub fn section(&self, name: &str) -> Result<Option<&'a [u8]>, UkiError> {
        let section = self.pe.sections().iter().find(|section| section.name() == name && section.virtual_size > 0);
        let Some(section) = section else { return Ok(None) };
        if section.virtual_size > section.size {
            // Memory would be filled with zeros; nobody builds such a UKI on purpose.
            return Err(UkiError::ShortSection(name.to_owned()));
        }
        Ok(read::slice(self.pe.bytes(), section.offset, section.virtual_size))
    }

    /// The kernel.
    pub fn linux(&self) -> Result<&'a [u8], UkiError> {
        self.section(".linux")?.ok_or(UkiError::NoKernel)
    }

    /// The command line as the stub passes it on; `None` if there is no `.cmdline`.
    pub fn cmdline(&self) -> Result<Option<String>, UkiError> {
        let Some(bytes) = self.section(".cmdline")? else { return Ok(None) };
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let text = std::str::from_utf8(&bytes[..end]).map_err(|_| UkiError::Cmdline)?;
        if text.chars().any(|c| u32::from(c) > 0xffff) {
            return Err(UkiError::Cmdline);
        }
        // mangle_stub_cmdline: control characters become blanks, trailing blanks go.
        let cleaned: String = text.chars().map(|c| if c <= '\x1f' { ' ' } else { c }).collect();
        Ok(Some(cleaned.trim_end_matches(' ').to_owned()))
    }

    /// The stub compares section names by prefix and lets later ones win: refuse whatever that makes ambiguous.
    fn check(&self) -> Result<(), UkiError> {
        let names: Vec<String> = self.pe.sections().iter().map(Section::name).collect();
        let known = self.stub.stub_sections.iter().chain(&self.stub.initrd_sections);
        for name in known {
            let matching: Vec<_> = names.iter().filter(|other| other.starts_with(name.as_str())).collect();
            if matching.len() > 1 || matching.iter().any(|other| *other != name) {
                return Err(UkiError::Ambiguous(name.clone()));
            }
        }
        if let Some(name) = self.stub.refused_sections.iter().find(|name| names.contains(name)) {
            return Err(UkiError::UnsupportedSection { section: name.clone(), stub: self.stub.id.clone() });
        }
        if let Some(name) = self.stub.initrd_sections.iter().find(|name| names.contains(name)) {
            return Err(UkiError::ExtraInitrd { section: name.clone(), stub: self.stub.id.clone() });
        }
        Ok(())
    }
}

fn stub_version(pe: &Pe<'_>) -> Result<String, UkiError> {
    let magic = pe.sections().iter().find(|section| section.name() == ".sdmagic").ok_or(UkiError::NoStub)?;
    let bytes = read::slice(pe.bytes(), magic.offset, magic.size).unwrap_or_default();
    let rest = bytes.strip_prefix(MAGIC_PREFIX).ok_or(UkiError::NoStub)?;
    let end = rest.windows(5).position(|window| window == b" ####").ok_or(UkiError::NoStub)?;
    Ok(rest[..end].escape_ascii().to_string())
}

/// Why a UKI's measurements can't be predicted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UkiError {
    /// The UKI, or the kernel in it, isn't a usable PE image.
    #[error(transparent)]
    Pe(#[from] PeError),
    /// No systemd-stub inside.
    #[error("image has no systemd-stub version in a .sdmagic section; is this a UKI made with systemd-stub?")]
    NoStub,
    /// A stub without a profile: what it measures can't be guessed.
    #[error("UKI has systemd-stub {0}, which no profile describes; known: 252")]
    UnknownStub(String),
    /// A UKI without a kernel.
    #[error("UKI has no .linux section")]
    NoKernel,
    /// A section that is longer in memory than in the file.
    #[error("UKI section {0:?} is longer in memory than in the file")]
    ShortSection(String),
    /// Two sections that the stub can't tell apart.
    #[error("UKI has more than one section whose name begins with {0:?}; the stub would take the last")]
    Ambiguous(String),
    /// A section that this version of the stub doesn't treat as later ones do.
    #[error("UKI has a section {section:?}, which {stub} doesn't know; build it without")]
    UnsupportedSection {
        /// The section.
        section: String,
        /// The stub's profile.
        stub: String,
    },
    /// The stub would hand the kernel more than `.initrd`.
    #[error("UKI has a section {section:?}, from which {stub} makes a further initrd; PCR 9 isn't predicted for that")]
    ExtraInitrd {
        /// The section.
        section: String,
        /// The stub's profile.
        stub: String,
    },
    /// The stub's conversion to UTF-16 isn't reproduced for such text.
    #[error("UKI's .cmdline isn't UTF-8, or has characters beyond U+FFFF, which the stub drops")]
    Cmdline,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_parses_and_is_strict() {
        for text in FILES {
            let profile = StubProfile::parse(text).unwrap();
            assert!(profile.stub_sections.contains(&".linux".to_owned()), "{}", profile.id);
            assert!(StubProfile::parse(&text.replacen('{', "{\"extra\": 1,", 1)).is_err());
            assert!(StubProfile::parse(&text.replace(".osrel", ".nonsense")).is_err());
        }
        assert_eq!(stub_profiles().len(), FILES.len());
    }
}
