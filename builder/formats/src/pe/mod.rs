//! PE32+ images, and unified kernel images (UKI) made of systemd's stub.
//!
//! Source: Microsoft, "PE Format" (revision of the documentation in force: "Optional Header", "Section Table"); UEFI
//! specification 2.10, section 2.1.1; UAPI.5 "Unified Kernel Image"; for what the stub does, systemd 252
//! `src/boot/efi/{stub,pe,linux}.c`. The bytes that we write are described in `docs/formats/uki.md`.

mod dump;
mod layout;
mod reader;
mod writer;

pub(crate) use dump::content_at;
pub use dump::{dump, locate};
pub use reader::{Directory, Image, ReadError, Section, parse};
pub use writer::{UkiSection, WriteError, check_uki, write_uki};
