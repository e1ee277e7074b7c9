//! What stands where in a PE32+ image.
//!
//! Source: Microsoft, "PE Format".

use crate::bytes::Field;

/// Where the DOS header says where the PE header stands, and the DOS header's bytes.
pub(super) const LFANEW_AT: usize = 60;
pub(super) const DOS_LEN: usize = 64;

/// Bytes of signature and COFF header.
pub(super) const COFF_LEN: usize = 24;

/// Bytes of a PE32+ optional header without data directories, of one data directory, and of a section header.
pub(super) const OPTIONAL_LEN: usize = 112;
pub(super) const DIRECTORY_LEN: usize = 8;
pub(super) const SECTION_LEN: usize = 40;

/// Data directories that the format knows.
pub(super) const MAX_DIRECTORIES: usize = 16;

/// Sections that Windows' loader allows; EDK2 has no limit. It bounds what a reader stores.
pub(super) const MAX_SECTIONS: usize = 96;

/// The data directory of attribute certificates. Unlike the others its "address" is a file offset.
pub(super) const DIRECTORY_CERTIFICATES: usize = 4;

/// PE32+.
pub(super) const MAGIC_PE32_PLUS: u16 = 0x20B;

/// x86-64.
pub(super) const MACHINE_X86_64: u16 = 0x8664;

/// Subsystem of an EFI application.
pub(super) const SUBSYSTEM_EFI_APPLICATION: u16 = 10;

/// Characteristics of a section that holds data to be read only.
pub(super) const SECTION_READ_ONLY_DATA: u32 = 0x4000_0040;

/// Characteristics bit of a section without data in the file.
pub(super) const SECTION_UNINITIALIZED: u32 = 0x0000_0080;

/// Places of the fields that a UKI needs changed, from the PE signature.
pub(super) const AT_SECTION_COUNT: usize = 6;
pub(super) const AT_TIMESTAMP: usize = 8;
pub(super) const AT_SYMBOL_TABLE: usize = 12;
pub(super) const AT_SYMBOL_COUNT: usize = 16;
pub(super) const AT_INITIALIZED_SIZE: usize = COFF_LEN + 8;
pub(super) const AT_IMAGE_SIZE: usize = COFF_LEN + 56;
pub(super) const AT_CHECKSUM: usize = COFF_LEN + 64;

/// The DOS header; only two of its fields mean anything here.
pub(super) const DOS: &[Field] = &[
    Field { name: "magic", at: 0, len: 2 },
    Field { name: "16-bit program fields", at: 2, len: 58 },
    Field { name: "e_lfanew", at: 60, len: 4 },
];

/// Signature and COFF header.
pub(super) const COFF: &[Field] = &[
    Field { name: "signature", at: 0, len: 4 },
    Field { name: "Machine", at: 4, len: 2 },
    Field { name: "NumberOfSections", at: 6, len: 2 },
    Field { name: "TimeDateStamp", at: 8, len: 4 },
    Field { name: "PointerToSymbolTable", at: 12, len: 4 },
    Field { name: "NumberOfSymbols", at: 16, len: 4 },
    Field { name: "SizeOfOptionalHeader", at: 20, len: 2 },
    Field { name: "Characteristics", at: 22, len: 2 },
];

/// The optional header up to the data directories.
pub(super) const OPTIONAL: &[Field] = &[
    Field { name: "Magic", at: 0, len: 2 },
    Field { name: "MajorLinkerVersion", at: 2, len: 1 },
    Field { name: "MinorLinkerVersion", at: 3, len: 1 },
    Field { name: "SizeOfCode", at: 4, len: 4 },
    Field { name: "SizeOfInitializedData", at: 8, len: 4 },
    Field { name: "SizeOfUninitializedData", at: 12, len: 4 },
    Field { name: "AddressOfEntryPoint", at: 16, len: 4 },
    Field { name: "BaseOfCode", at: 20, len: 4 },
    Field { name: "ImageBase", at: 24, len: 8 },
    Field { name: "SectionAlignment", at: 32, len: 4 },
    Field { name: "FileAlignment", at: 36, len: 4 },
    Field { name: "MajorOperatingSystemVersion", at: 40, len: 2 },
    Field { name: "MinorOperatingSystemVersion", at: 42, len: 2 },
    Field { name: "MajorImageVersion", at: 44, len: 2 },
    Field { name: "MinorImageVersion", at: 46, len: 2 },
    Field { name: "MajorSubsystemVersion", at: 48, len: 2 },
    Field { name: "MinorSubsystemVersion", at: 50, len: 2 },
    Field { name: "Win32VersionValue", at: 52, len: 4 },
    Field { name: "SizeOfImage", at: 56, len: 4 },
    Field { name: "SizeOfHeaders", at: 60, len: 4 },
    Field { name: "CheckSum", at: 64, len: 4 },
    Field { name: "Subsystem", at: 68, len: 2 },
    Field { name: "DllCharacteristics", at: 70, len: 2 },
    Field { name: "SizeOfStackReserve", at: 72, len: 8 },
    Field { name: "SizeOfStackCommit", at: 80, len: 8 },
    Field { name: "SizeOfHeapReserve", at: 88, len: 8 },
    Field { name: "SizeOfHeapCommit", at: 96, len: 8 },
    Field { name: "LoaderFlags", at: 104, len: 4 },
    Field { name: "NumberOfRvaAndSizes", at: 108, len: 4 },
];

/// A section header.
pub(super) const SECTION: &[Field] = &[
    Field { name: "Name", at: 0, len: 8 },
    Field { name: "VirtualSize", at: 8, len: 4 },
    Field { name: "VirtualAddress", at: 12, len: 4 },
    Field { name: "SizeOfRawData", at: 16, len: 4 },
    Field { name: "PointerToRawData", at: 20, len: 4 },
    Field { name: "PointerToRelocations", at: 24, len: 4 },
    Field { name: "PointerToLinenumbers", at: 28, len: 4 },
    Field { name: "NumberOfRelocations", at: 32, len: 2 },
    Field { name: "NumberOfLinenumbers", at: 34, len: 2 },
    Field { name: "Characteristics", at: 36, len: 4 },
];

/// Data directories, as the format numbers them.
pub(super) const DIRECTORY_NAMES: [&str; MAX_DIRECTORIES] = [
    "export table",
    "import table",
    "resource table",
    "exception table",
    "certificate table",
    "base relocation table",
    "debug",
    "architecture",
    "global pointer",
    "TLS table",
    "load config table",
    "bound import",
    "import address table",
    "delay import descriptor",
    "CLR runtime header",
    "reserved",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::tests::assert_covers;

    #[test]
    fn the_tables_cover_their_records() {
        assert_covers(DOS, DOS_LEN);
        assert_covers(COFF, COFF_LEN);
        assert_covers(OPTIONAL, OPTIONAL_LEN);
        assert_covers(SECTION, SECTION_LEN);
    }
}
