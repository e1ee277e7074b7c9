//! The authenticated variable store in OVMF's configuration volume (`MdeModulePkg/Include/Guid/VariableFormat.h`).
//!
//! Only read so far that the Secure Boot variables, which firmware measures, can be told; state bits other than "added"
//! mean that a variable isn't there.

use super::FirmwareError;
use crate::guid::Guid;
use crate::read;

/// File system of a firmware volume that holds variables.
const NV_FILE_SYSTEM: Guid = Guid::new(0xfff1_2b8d, 0x7696, 0x4c8b, 0xa985, 0x2747_075b_4f50);
/// Format of a store of authenticated variables.
const AUTHENTICATED_STORE: Guid = Guid::new(0xaaf3_2c78, 0x947b, 0x439a, 0xa180, 0x2e14_4ec3_7792);
/// First word of a variable; anything else ends the list.
const VARIABLE_START: u16 = 0x55aa;
/// State of a variable that was written in full and not deleted.
const ADDED: u8 = 0x3f;
/// Fixed part of an authenticated variable's header.
const VARIABLE_HEADER: usize = 60;
/// Header of the store.
const STORE_HEADER: usize = 28;

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Vendor GUID.
    pub vendor: Guid,
    /// Name, UTF-16LE with its NUL, as stored.
    pub name: Vec<u8>,
    /// Value.
    pub data: Vec<u8>,
}

/// The variables that a fresh VM starts with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableStore {
    variables: Vec<Variable>,
}

impl VariableStore {
    /// Reads the store of a configuration volume.
    pub fn parse(volume: &[u8]) -> Result<Self, FirmwareError> {
        let damaged = FirmwareError::Variables;
        if read::array(volume, 16).map(Guid) != Some(NV_FILE_SYSTEM) || read::array(volume, 40) != Some(*b"_FVH") {
            return Err(damaged("it isn't a firmware volume of variables"));
        }
        let start = usize::from(read::u16(volume, 48).unwrap_or_default());
        let header = read::slice(volume, start, STORE_HEADER).ok_or(damaged("it has no store header"))?;
        if read::array(header, 0).map(Guid) != Some(AUTHENTICATED_STORE) {
            return Err(damaged("its variables aren't in the authenticated format"));
        }
        let size = read::index(read::u32(header, 16).unwrap_or_default());
        let store = read::slice(volume, start, size).ok_or(damaged("it reaches past its volume"))?;
        Ok(Self { variables: variables(store)? })
    }

    /// The value of a variable; `None` if it doesn't exist.
    pub fn value(&self, vendor: Guid, name: &str) -> Option<&[u8]> {
        let name = utf16_with_nul(name);
        self.variables.iter().find(|v| v.vendor == vendor && v.name == name).map(|v| v.data.as_slice())
    }

    /// All variables, in stored order.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }
}

fn variables(store: &[u8]) -> Result<Vec<Variable>, FirmwareError> {
    let cut = FirmwareError::Variables("a variable is cut");
    let mut found = Vec::new();
    let mut offset = STORE_HEADER;
    while read::u16(store, offset) == Some(VARIABLE_START) {
        let header = read::slice(store, offset, VARIABLE_HEADER).ok_or(cut.clone())?;
        let length = |at| read::u32(header, at).map(read::index).unwrap_or_default();
        let (name_size, data_size) = (length(36), length(40));
        let name = read::slice(store, offset + VARIABLE_HEADER, name_size).ok_or(cut.clone())?;
        let data_start = offset + VARIABLE_HEADER + name_size;
        let data = read::slice(store, data_start, data_size).ok_or(cut.clone())?;
        if header[2] == ADDED {
            let vendor = Guid(read::array(header, 44).unwrap_or_default());
            found.push(Variable { vendor, name: name.to_vec(), data: data.to_vec() });
        }
        // Headers are aligned to 4 bytes.
        offset = (data_start + data_size).next_multiple_of(4);
    }
    Ok(found)
}

/// UTF-16LE with a terminating NUL, as variable names are stored.
pub(crate) fn utf16_with_nul(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}
