//! GUIDs, with the mixed byte order that they have on disk.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// A GUID as UEFI stores it: the first three groups little-endian, the rest as written
/// (UEFI specification 2.10, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid([u8; 16]);

/// The text is no GUID of the form `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no GUID; write it as 8-4-4-4-12 hexadecimal digits")]
pub struct ParseGuidError {
    text: String,
}

impl Guid {
    /// No GUID: an entry with this type is unused.
    pub const ZERO: Guid = Guid([0; 16]);

    /// Type of an EFI system partition, C12A7328-F81F-11D2-BA4B-00A0C93EC93B (UEFI 2.10, table 5.7). With any other the
    /// firmware doesn't look for `EFI/BOOT/BOOTX64.EFI`.
    pub const EFI_SYSTEM: Guid =
        Guid([0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b]);

    /// Namespace of the GUIDs that [`Guid::derive`] makes, f36b9d50-94c5-4a0e-8d3f-6b1c2a7f5e91: an arbitrary constant.
    /// Another value gives every disk other GUIDs, and so other registers.
    pub const NAMESPACE: Uuid = Uuid::from_u128(0xf36b_9d50_94c5_4a0e_8d3f_6b1c_2a7f_5e91);

    /// The GUID of something named `name` in the image that `spec_digest` describes: UUIDv5 (RFC 9562, section 5.5) in
    /// [`Guid::NAMESPACE`] of the text `<digest as lower-case hex>/<name>`. Anyone can check it with
    /// `uuidgen --sha1 --namespace f36b9d50-94c5-4a0e-8d3f-6b1c2a7f5e91 --name TEXT`.
    pub fn derive(spec_digest: &[u8; 32], name: &str) -> Guid {
        use fmt::Write;
        let mut text = String::with_capacity(65 + name.len());
        for byte in spec_digest {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('/');
        text.push_str(name);
        Guid(Uuid::new_v5(&Self::NAMESPACE, text.as_bytes()).to_bytes_le())
    }

    /// From the sixteen bytes that stand on disk.
    pub fn from_disk(bytes: [u8; 16]) -> Guid {
        Guid(bytes)
    }

    /// The sixteen bytes that stand on disk.
    pub fn to_disk(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes_le(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

impl FromStr for Guid {
    type Err = ParseGuidError;

    fn from_str(text: &str) -> Result<Guid, ParseGuidError> {
        let error = || ParseGuidError { text: text.to_owned() };
        // The uuid crate takes other notations as well; one GUID should have one spelling.
        if text.len() != 36 {
            return Err(error());
        }
        Uuid::try_parse(text).map(|uuid| Guid(uuid.to_bytes_le())).map_err(|_| error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_disk_order() {
        let guid: Guid = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b".parse().unwrap();
        assert_eq!(guid, Guid::EFI_SYSTEM);
        assert_eq!(guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(Guid::ZERO.to_string(), "00000000-0000-0000-0000-000000000000");
        assert!("{c12a7328-f81f-11d2-ba4b-00a0c93ec93b}".parse::<Guid>().is_err());
        assert!("c12a7328f81f11d2ba4b00a0c93ec93b".parse::<Guid>().is_err());
    }

    /// Calculated with Python's `uuid.uuid5`.
    #[test]
    fn derived_guids_are_uuid_v5() {
        assert_eq!(Guid::derive(&[0; 32], "esp").to_string(), UUIDGEN_ESP);
        assert_ne!(Guid::derive(&[0; 32], "esp"), Guid::derive(&[0; 32], "disk"));
        assert_ne!(Guid::derive(&[0; 32], "esp"), Guid::derive(&[1; 32], "esp"));
    }

    const UUIDGEN_ESP: &str = "a6507574-1ce4-5d43-9760-306c0ef9dd6a";
}
