//! The attestation report's layout (ABI specification, table 23; versions 2, 3, 4 and 5).

use crate::bytes::{Fields, Truncated, is_zero};

use super::tcb::TcbVersion;

/// Length of a report in bytes, the same in every version.
pub const REPORT_LENGTH: usize = 1184;
/// How many of them are signed.
const SIGNED_LENGTH: usize = 0x2a0;
/// Value of the signature algorithm field for ECDSA on P-384 with SHA-384 (ABI specification, table 139).
pub(super) const ALGORITHM_P384: u32 = 1;

/// A report's claims. Nothing in it is to be believed before [`super::verify`] has passed every check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Version of the layout.
    pub version: u32,
    /// Guest's security version number, from its ID block.
    pub guest_svn: u32,
    /// What the guest's owner allowed at launch.
    pub policy: GuestPolicy,
    /// From the ID block.
    pub family_id: [u8; 16],
    /// From the ID block.
    pub image_id: [u8; 16],
    /// Privilege level of whoever asked for the report.
    pub vmpl: u32,
    /// 1 is ECDSA on P-384 with SHA-384.
    pub signature_algorithm: u32,
    /// TCB that is running.
    pub current_tcb: TcbVersion,
    /// Bits on the platform's configuration.
    pub platform_info: PlatformInfo,
    /// Whether `author_key_digest` was given at launch.
    pub author_key_enabled: bool,
    /// Whether the firmware was told to leave out the chip id.
    pub chip_key_masked: bool,
    /// Which key signed the report, by the report's own words.
    pub signing_key: SigningKey,
    /// What the guest put in.
    pub report_data: [u8; 64],
    /// Launch digest.
    pub measurement: [u8; 48],
    /// What the host put in at launch.
    pub host_data: [u8; 32],
    /// SHA-384 of the key that signed the ID block, or zero.
    pub id_key_digest: [u8; 48],
    /// SHA-384 of the key that signed the ID key, or zero.
    pub author_key_digest: [u8; 48],
    /// Names this guest as long as it lives.
    pub report_id: [u8; 32],
    /// Names its migration agent; all ones if there is none.
    pub report_id_migration_agent: [u8; 32],
    /// TCB that the signing key was derived from.
    pub reported_tcb: TcbVersion,
    /// CPUID family, model, stepping; from version 3 on.
    pub cpuid: Option<[u8; 3]>,
    /// Names the chip; zero if masked.
    pub chip_id: [u8; 64],
    /// TCB that the platform can't go back behind.
    pub committed_tcb: TcbVersion,
    /// Major, minor, build of the running firmware.
    pub current_firmware: [u8; 3],
    /// Major, minor, build of the committed firmware.
    pub committed_firmware: [u8; 3],
    /// TCB at launch or import of the guest.
    pub launch_tcb: TcbVersion,
    /// Mitigations at launch and now; from version 5 on.
    pub mitigations: Option<[u64; 2]>,
    /// Names of fields that must be zero and aren't.
    pub reserved_set: Vec<&'static str>,
    signed: Vec<u8>,
    signature: [u8; 96],
}

/// Which of the platform's keys signed (ABI specification, table 23, bits 4:2 of the key information).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// Versioned chip endorsement key: one a chip and TCB.
    Vcek,
    /// Versioned loaded endorsement key: one a cloud provider and TCB.
    Vlek,
    /// The report isn't signed.
    None,
    /// A value without a meaning.
    Unknown(u8),
}

/// The guest policy's bits (ABI specification, table 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestPolicy(pub u64);

impl GuestPolicy {
    /// Bit 17 must be one, bits 63:26 zero.
    const MUST_BE_ONE: u64 = 1 << 17;
    const MUST_BE_ZERO: u64 = u64::MAX << 26;

    /// Least ABI version that the guest runs on: major, minor.
    pub fn abi(self) -> (u8, u8) {
        let [minor, major, ..] = self.0.to_le_bytes();
        (major, minor)
    }
    /// The host may run it with simultaneous multithreading.
    pub fn smt(self) -> bool {
        self.bit(16)
    }
    /// A migration agent may be bound to it.
    pub fn migration(self) -> bool {
        self.bit(18)
    }
    /// The host may read and write its memory.
    pub fn debug(self) -> bool {
        self.bit(19)
    }
    /// It may run on one socket only.
    pub fn single_socket(self) -> bool {
        self.bit(20)
    }
    /// CXL devices and memory may be attached to the machine.
    pub fn cxl(self) -> bool {
        self.bit(21)
    }
    /// It demands AES-256-XTS for memory.
    pub fn aes_256_xts(self) -> bool {
        self.bit(22)
    }
    /// It demands that power measurement is off.
    pub fn rapl_disabled(self) -> bool {
        self.bit(23)
    }
    /// It demands ciphertext hiding.
    pub fn ciphertext_hiding(self) -> bool {
        self.bit(24)
    }
    /// Whether all reserved bits are as they must be.
    pub fn reserved_are_right(self) -> bool {
        self.0 & Self::MUST_BE_ONE != 0 && self.0 & Self::MUST_BE_ZERO == 0
    }
    fn bit(self, number: u32) -> bool {
        self.0 >> number & 1 == 1
    }
}

/// How the platform is configured (ABI specification, table 24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformInfo(pub u64);

impl PlatformInfo {
    /// Bit 6 and everything from bit 8 on.
    const MUST_BE_ZERO: u64 = !0xbf;

    /// The host can't read guests' encrypted memory, and so not watch it change.
    pub fn ciphertext_hiding(self) -> bool {
        self.0 >> 4 & 1 == 1
    }
    /// Since its last reset the firmware has looked for addresses that lead to the same memory, as a memory module that lies
    /// about its size makes them.
    pub fn alias_check(self) -> bool {
        self.0 >> 5 & 1 == 1
    }
}

/// The bytes can't be a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Something is cut off, or something follows it.
    #[error("an SNP attestation report has {REPORT_LENGTH} bytes, this has {0}; give the raw report without any header")]
    Length(usize),
    /// A field is cut off. Can't happen once the length is right.
    #[error(transparent)]
    Truncated(#[from] Truncated),
}

impl Report {
    /// Reads a report of any version. Fields keep their place in all versions known; what a version doesn't have yet is
    /// reserved in it. Whether the version is known and reserved fields are zero is for [`super::verify`] to judge.
    ///
    /// # Errors
    /// If the length isn't 1184 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() != REPORT_LENGTH {
            return Err(ReportError::Length(bytes.len()));
        }
        let mut f = Fields::new(bytes);
        let mut reserved = Reserved::default();
        let version = f.u32_le("version")?;
        let guest_svn = f.u32_le("guest svn")?;
        let policy = GuestPolicy(f.u64_le("policy")?);
        let (family_id, image_id) = (f.array("family id")?, f.array("image id")?);
        let (vmpl, signature_algorithm) = (f.u32_le("vmpl")?, f.u32_le("signature algorithm")?);
        let current_tcb = TcbVersion(f.array("current tcb")?);
        let platform_info = PlatformInfo(f.u64_le("platform info")?);
        reserved.note("platform info", platform_info.0 & PlatformInfo::MUST_BE_ZERO == 0);
        let flags = f.u32_le("key information")?;
        reserved.note("key information", flags >> 5 == 0);
        reserved.zero("bytes at 0x4c", f.take("reserved", 4)?);
        let (report_data, measurement, host_data) = (f.array("report data")?, f.array("measurement")?, f.array("host data")?);
        let (id_key_digest, author_key_digest) = (f.array("id key digest")?, f.array("author key digest")?);
        let (report_id, report_id_migration_agent) = (f.array("report id")?, f.array("migration agent's report id")?);
        let reported_tcb = TcbVersion(f.array("reported tcb")?);
        let cpuid: [u8; 3] = f.array("cpuid")?;
        let cpuid = if version >= 3 { Some(cpuid) } else { reserved.zero_or_none("bytes at 0x188", &cpuid) };
        reserved.zero("bytes at 0x18b", f.take("reserved", 21)?);
        let chip_id = f.array("chip id")?;
        let committed_tcb = TcbVersion(f.array("committed tcb")?);
        let current_firmware = firmware(f.array("current firmware")?);
        reserved.zero("byte at 0x1eb", f.take("reserved", 1)?);
        let committed_firmware = firmware(f.array("committed firmware")?);
        reserved.zero("byte at 0x1ef", f.take("reserved", 1)?);
        let launch_tcb = TcbVersion(f.array("launch tcb")?);
        let vectors = [f.u64_le("launch mitigations")?, f.u64_le("current mitigations")?];
        let mitigations = if version >= 5 { Some(vectors) } else { reserved.zero_or_none("bytes at 0x1f8", &vectors) };
        reserved.zero("bytes at 0x208", f.take("reserved", SIGNED_LENGTH - 0x208)?);
        let signature = read_signature(&mut f, &mut reserved)?;
        Ok(Self {
            version,
            guest_svn,
            policy,
            family_id,
            image_id,
            vmpl,
            signature_algorithm,
            current_tcb,
            platform_info,
            author_key_enabled: flags & 1 == 1,
            chip_key_masked: flags >> 1 & 1 == 1,
            signing_key: SigningKey::from_bits((flags >> 2 & 7) as u8),
            report_data,
            measurement,
            host_data,
            id_key_digest,
            author_key_digest,
            report_id,
            report_id_migration_agent,
            reported_tcb,
            cpuid,
            chip_id,
            committed_tcb,
            current_firmware,
            committed_firmware,
            launch_tcb,
            mitigations,
            reserved_set: reserved.set,
            signed: bytes.get(..SIGNED_LENGTH).unwrap_or_default().to_vec(),
            signature,
        })
    }

    /// The bytes that are signed.
    pub(super) fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// `r` and `s`, big-endian, 48 bytes each.
    pub(super) fn signature(&self) -> &[u8; 96] {
        &self.signature
    }
}

impl SigningKey {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0 => Self::Vcek,
            1 => Self::Vlek,
            7 => Self::None,
            other => Self::Unknown(other),
        }
    }
}

/// The build stands first in the report.
fn firmware([build, minor, major]: [u8; 3]) -> [u8; 3] {
    [major, minor, build]
}

/// `r` and `s` stand there little-endian, in 72 bytes each (ABI specification, table 140).
fn read_signature(f: &mut Fields<'_>, reserved: &mut Reserved) -> Result<[u8; 96], Truncated> {
    let mut signature = [0; 96];
    for half in signature.chunks_exact_mut(48) {
        half.copy_from_slice(f.take("signature", 48)?);
        half.reverse();
        reserved.zero("upper bytes of the signature", f.take("signature", 24)?);
    }
    reserved.zero("bytes after the signature", f.rest());
    Ok(signature)
}

#[derive(Default)]
struct Reserved {
    set: Vec<&'static str>,
}

impl Reserved {
    fn note(&mut self, name: &'static str, right: bool) {
        if !right {
            self.set.push(name);
        }
    }
    fn zero(&mut self, name: &'static str, bytes: &[u8]) {
        self.note(name, is_zero(bytes));
    }
    fn zero_or_none<T, N: Default + PartialEq>(&mut self, name: &'static str, fields: &[N]) -> Option<T> {
        self.note(name, fields.iter().all(|field| *field == N::default()));
        None
    }
}
