//! TCB versions: the security version numbers of the firmware parts.

use std::fmt;

use super::roots::Product;

/// Eight bytes as they stand in a report; what each means depends on the product (ABI specification, table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcbVersion(pub [u8; 8]);

/// The parts of a TCB version by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcb {
    /// Firmware of the mainboard controller; Turin only.
    pub fmc: Option<u8>,
    /// Bootloader of the security processor.
    pub bootloader: u8,
    /// Operating system of the security processor.
    pub tee: u8,
    /// SNP firmware.
    pub snp: u8,
    /// Lowest microcode patch level of all cores.
    pub microcode: u8,
    /// Levels 4 to 7, which have no meaning yet; zero on all firmware known. Turin has no level 4.
    pub reserved: [u8; 4],
}

impl TcbVersion {
    /// Names the parts.
    pub fn decode(self, product: Product) -> Tcb {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = self.0;
        match product {
            Product::Milan | Product::Genoa => {
                Tcb { fmc: None, bootloader: b0, tee: b1, snp: b6, microcode: b7, reserved: [b2, b3, b4, b5] }
            }
            Product::Turin => Tcb { fmc: Some(b0), bootloader: b1, tee: b2, snp: b3, microcode: b7, reserved: [0, b4, b5, b6] },
        }
    }
}

impl Tcb {
    /// Whether every part is at least as new as in `floor`. A part that only one of the two has counts as 0 in the other.
    pub fn is_at_least(&self, floor: &Self) -> bool {
        self.fmc.unwrap_or(0) >= floor.fmc.unwrap_or(0)
            && self.bootloader >= floor.bootloader
            && self.tee >= floor.tee
            && self.snp >= floor.snp
            && self.microcode >= floor.microcode
    }
}

impl fmt::Display for Tcb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        write!(f, "bootloader {}, tee {}, snp {}, microcode {}", self.bootloader, self.tee, self.snp, self.microcode)?;
        if self.reserved != [0; 4] {
            write!(f, ", reserved {:02x?}", self.reserved)?;
        }
        Ok(())
    }
}
