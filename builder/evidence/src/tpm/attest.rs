//! What a TPM signs: TPMS_ATTEST of a quote. Numbers are big-endian.

use crate::bytes::{Fields, Truncated};
use crate::x509::KeyError;

/// TPM_GENERATED_VALUE: a restricted key signs nothing that begins so, unless the TPM made it.
pub(super) const MAGIC: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_QUOTE.
pub(super) const QUOTE: u16 = 0x8018;
/// Selections in one quote at most: one a bank, and TPMs have few banks (TPM2_NUM_PCR_BANKS is 3 to 16).
const MAX_SELECTIONS: u32 = 16;

/// A quote's claims. Nothing in it is to be believed before [`super::verify`] has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attest {
    /// Must be that of structures that a TPM made.
    pub magic: u32,
    /// Kind of attestation.
    pub kind: u16,
    /// Qualified name of the signing key.
    pub qualified_signer: Vec<u8>,
    /// What whoever asked for the quote put in: its nonce.
    pub extra_data: Vec<u8>,
    /// Milliseconds that the TPM has been powered.
    pub clock: u64,
    /// Resets of the TPM.
    pub reset_count: u32,
    /// Restarts since.
    pub restart_count: u32,
    /// The vendor's own.
    pub firmware_version: u64,
    /// Which registers of which bank.
    pub selections: Vec<Selection>,
    /// Digest over their values.
    pub pcr_digest: Vec<u8>,
    pub(super) signed: Vec<u8>,
}

/// Registers of one bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// TPM_ALG_ID of the bank: 0x000b SHA-256, 0x000c SHA-384.
    pub bank: u16,
    /// Numbers of the registers, ascending.
    pub registers: Vec<u8>,
}

/// A structure of the TPM can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TpmError {
    /// Something is cut off.
    #[error("{what}: {source}")]
    Truncated {
        /// Which structure.
        what: &'static str,
        /// Which field.
        source: Truncated,
    },
    /// Something follows the structure, or a length in it is wrong.
    #[error("{what}: {left} bytes follow it")]
    Trailing {
        /// Which structure.
        what: &'static str,
        /// How many.
        left: usize,
    },
    /// An algorithm, curve or count that this crate doesn't accept.
    #[error("{what}: {field} {value:#x} is not accepted")]
    Unsupported {
        /// Which structure.
        what: &'static str,
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
    },
    /// The attestation key can't be used.
    #[error("attestation key: {0}")]
    Key(#[from] KeyError),
    /// The attestation key's PEM armour is damaged.
    #[error("attestation key: not a PEM text of one PUBLIC KEY: {0}")]
    Pem(String),
}

impl TpmError {
    pub(super) fn truncated(what: &'static str) -> impl Fn(Truncated) -> Self {
        move |source| Self::Truncated { what, source }
    }

    /// That nothing is left.
    pub(super) fn finish(what: &'static str, f: &Fields<'_>) -> Result<(), Self> {
        match f.rest().len() {
            0 => Ok(()),
            left => Err(Self::Trailing { what, left }),
        }
    }
}

/// A TPM2B: two bytes of length, then that many.
pub(super) fn sized<'a>(f: &mut Fields<'a>, what: &'static str) -> Result<&'a [u8], Truncated> {
    let length = f.u16_be(what)?;
    f.take(what, usize::from(length))
}

impl Attest {
    /// Reads the bytes that the TPM signed (the TPMS_ATTEST inside a TPM2B_ATTEST, as `tpm2_quote --message` writes it).
    ///
    /// # Errors
    /// If something is cut off or follows. Magic and kind are judged by [`super::verify`]; but only a quote's layout is
    /// known, so that another kind may fail here, too.
    pub fn parse(bytes: &[u8]) -> Result<Self, TpmError> {
        const WHAT: &str = "quote (TPMS_ATTEST)";
        let mut f = Fields::new(bytes);
        let attest = Self::read(&mut f, bytes)?;
        TpmError::finish(WHAT, &f)?;
        Ok(attest)
    }

    fn read(f: &mut Fields<'_>, bytes: &[u8]) -> Result<Self, TpmError> {
        const WHAT: &str = "quote (TPMS_ATTEST)";
        let cut = TpmError::truncated(WHAT);
        let (magic, kind) = (f.u32_be("magic").map_err(&cut)?, f.u16_be("type").map_err(&cut)?);
        let qualified_signer = sized(f, "qualified signer").map_err(&cut)?.to_vec();
        let extra_data = sized(f, "extra data").map_err(&cut)?.to_vec();
        let clock = f.u64_be("clock").map_err(&cut)?;
        let (reset_count, restart_count) = (f.u32_be("reset count").map_err(&cut)?, f.u32_be("restart count").map_err(&cut)?);
        f.take("clock safe", 1).map_err(&cut)?;
        let firmware_version = f.u64_be("firmware version").map_err(&cut)?;
        let count = f.u32_be("number of selections").map_err(&cut)?;
        if count > MAX_SELECTIONS {
            return Err(TpmError::Unsupported { what: WHAT, field: "number of selections", value: count });
        }
        let mut selections = Vec::new();
        for _ in 0..count {
            let bank = f.u16_be("bank").map_err(&cut)?;
            let [length] = f.array("length of selection").map_err(&cut)?;
            let bits = f.take("selection", usize::from(length)).map_err(&cut)?;
            let is_set = |register: &u8| bits.get(usize::from(register / 8)).is_some_and(|byte| byte >> (register % 8) & 1 == 1);
            // TPMs have 24 registers, and no selection can name one beyond 255.
            selections.push(Selection { bank, registers: (0..=u8::MAX).filter(is_set).collect() });
        }
        let pcr_digest = sized(f, "pcr digest").map_err(&cut)?.to_vec();
        Ok(Self {
            magic,
            kind,
            qualified_signer,
            extra_data,
            clock,
            reset_count,
            restart_count,
            firmware_version,
            selections,
            pcr_digest,
            signed: bytes.to_vec(),
        })
    }
}
