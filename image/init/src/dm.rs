//! The device mapper's ioctl interface, as far as one read-only verity target needs it.
//!
//! Source: Linux, `include/uapi/linux/dm-ioctl.h`, and Documentation/admin-guide/device-mapper/verity.rst.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::ioctl::{Opcode, opcode};
use sealstone_config::{BLOCK, Digest, Name};

/// `sizeof(struct dm_ioctl)`; the header of every request, and part of each opcode.
const HEADER: usize = 312;
/// `sizeof(struct dm_target_spec)`.
const TARGET: usize = 40;
/// A whole request. The kernel rounds a target's parameters up to 8 bytes; a verity line takes under 300.
const REQUEST: usize = 1024;

const DEV_CREATE: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 3);
const DEV_REMOVE: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 4);
const DEV_SUSPEND: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 6);
const TABLE_LOAD: Opcode = opcode::read_write::<[u8; HEADER]>(0xfd, 9);

/// `DM_READONLY_FLAG`. A verity target is refused without it.
const READ_ONLY: u32 = 1;

/// Bytes per sector, the unit in which the device mapper counts.
const SECTOR: u64 = 512;

/// The open control device.
pub(crate) struct DeviceMapper(File);

/// A verity target. Everything but `disk` comes from the measured configuration.
pub(crate) struct Verity<'a> {
    /// The device's name.
    pub(crate) name: &'a Name,
    /// The disk that holds both data and tree.
    pub(crate) disk: &'a Path,
    /// Length of the data in blocks.
    pub(crate) data_blocks: u64,
    /// First block of the tree.
    pub(crate) tree_start: u64,
    /// The root hash.
    pub(crate) root: &'a Digest,
    /// The salt.
    pub(crate) salt: &'a Digest,
}

impl DeviceMapper {
    /// Opens the control device, which devtmpfs makes.
    pub(crate) fn open() -> io::Result<DeviceMapper> {
        File::options().read(true).write(true).open("/dev/mapper/control").map(DeviceMapper)
    }

    /// Makes a read-only device that checks every block of `verity.disk` before it gives it out; returns its node.
    pub(crate) fn create_verity(&self, verity: &Verity<'_>) -> io::Result<PathBuf> {
        let too_long = || io::Error::other("device-mapper request too long");
        let mut create = Request::new(verity.name, READ_ONLY).ok_or_else(too_long)?;
        self.send::<DEV_CREATE>(&mut create)?;
        let device = create.device();

        let sectors = verity.data_blocks.checked_mul(BLOCK / SECTOR).ok_or_else(too_long)?;
        let mut load = Request::new(verity.name, READ_ONLY).ok_or_else(too_long)?;
        load.add_target(sectors, "verity", &verity.table_line()).ok_or_else(too_long)?;
        self.send::<TABLE_LOAD>(&mut load)?;

        // "Suspend" without the suspend flag is resume.
        self.send::<DEV_SUSPEND>(&mut Request::new(verity.name, 0).ok_or_else(too_long)?)?;
        Ok(PathBuf::from(format!("/dev/dm-{}", rustix::fs::minor(device))))
    }

    /// Takes a device away that nothing is mounted from.
    pub(crate) fn remove(&self, name: &Name) -> io::Result<()> {
        let request = Request::new(name, 0).ok_or_else(|| io::Error::other("device-mapper request too long"));
        self.send::<DEV_REMOVE>(&mut request?)
    }

    #[allow(unsafe_code)]
    fn send<const OPCODE: Opcode>(&self, request: &mut Request) -> io::Result<()> {
        // SAFETY: the four opcodes take a pointer to a `struct dm_ioctl` that begins a buffer of its `data_size` bytes,
        // which the kernel reads and overwrites. The buffer is REQUEST initialised bytes, `data_size` says REQUEST (set in
        // `Request::new`, never changed), and any bytes are a valid `[u8; REQUEST]`.
        unsafe {
            let call = rustix::ioctl::Updater::<OPCODE, [u8; REQUEST]>::new(&mut request.0);
            rustix::ioctl::ioctl(&self.0, call)?;
        }
        Ok(())
    }
}

impl Verity<'_> {
    /// The target's parameters, none of them optional: a block that isn't the measured one is never given out, reading it fails with `EIO`
    /// (through a mapping, `SIGBUS`) however often it is tried, and the model's engine ends with that.
    fn table_line(&self) -> String {
        let Verity { disk, data_blocks, tree_start, root, salt, .. } = self;
        let disk = disk.display();
        format!("1 {disk} {disk} {BLOCK} {BLOCK} {data_blocks} {tree_start} sha256 {root} {salt}")
    }
}

/// `struct dm_ioctl` and what follows it, as bytes.
struct Request([u8; REQUEST]);

impl Request {
    const TARGET_COUNT: usize = 20;
    const DEVICE: usize = 40;

    /// A request about the device `name`. Interface version 4.0 is the least that has these three commands.
    fn new(name: &Name, flags: u32) -> Option<Request> {
        let mut request = Request([0; REQUEST]);
        request.put(0, &4u32.to_ne_bytes())?;
        request.put(12, &u32::try_from(REQUEST).ok()?.to_ne_bytes())?;
        request.put(16, &u32::try_from(HEADER).ok()?.to_ne_bytes())?;
        request.put(28, &flags.to_ne_bytes())?;
        // char name[128]: a name has at most 63 bytes, so a NUL follows.
        request.put(48, name.as_str().as_bytes())?;
        Some(request)
    }

    /// Appends the only target: `sectors` from 0, of this kind, with these parameters.
    fn add_target(&mut self, sectors: u64, kind: &str, parameters: &str) -> Option<()> {
        self.put(Request::TARGET_COUNT, &1u32.to_ne_bytes())?;
        self.put(HEADER.checked_add(8)?, &sectors.to_ne_bytes())?;
        self.put(HEADER.checked_add(24)?, kind.as_bytes())?;
        let text = HEADER.checked_add(TARGET)?;
        // A NUL must follow within the request.
        let end = text.checked_add(parameters.len())?;
        (end < REQUEST).then_some(())?;
        self.put(text, parameters.as_bytes())
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) -> Option<()> {
        let end = offset.checked_add(bytes.len())?;
        self.0.get_mut(offset..end)?.copy_from_slice(bytes);
        Some(())
    }

    /// The device number that the kernel filled in.
    fn device(&self) -> u64 {
        let bytes = self.0.get(Request::DEVICE..).and_then(|rest| rest.first_chunk::<8>());
        bytes.map_or(0, |b| u64::from_ne_bytes(*b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opcodes_are_those_of_the_header() {
        // From a C program that printed DM_DEV_CREATE, DM_DEV_REMOVE, DM_DEV_SUSPEND and DM_TABLE_LOAD.
        let printed: [Opcode; 4] = [0xc138_fd03, 0xc138_fd04, 0xc138_fd06, 0xc138_fd09];
        assert_eq!([DEV_CREATE, DEV_REMOVE, DEV_SUSPEND, TABLE_LOAD], printed);
    }

    #[test]
    fn a_load_request_is_laid_out_as_the_kernel_reads_it() {
        let (root, salt) = (Digest::of(b"root"), Digest::of(b"salt"));
        let name = Name::try_from("m".to_owned()).unwrap();
        let disk = Path::new("/dev/vdb");
        let verity = Verity { name: &name, disk, data_blocks: 262_144, tree_start: 262_145, root: &root, salt: &salt };
        let line = verity.table_line();
        let expected = format!("1 /dev/vdb /dev/vdb 4096 4096 262144 262145 sha256 {root} {salt}");
        assert_eq!(line, expected);

        let mut request = Request::new(&name, READ_ONLY).unwrap();
        request.add_target(2_097_152, "verity", &line).unwrap();
        let word = |offset: usize| u32::from_ne_bytes(request.0[offset..offset + 4].try_into().unwrap());
        // Offsets: version 0, data_size 12, data_start 16, target_count 20, flags 28, name 48; target_spec at 312.
        assert_eq!([word(0), word(12), word(16), word(20), word(28)], [4, 1024, 312, 1, 1]);
        assert_eq!(&request.0[48..50], b"m\0");
        assert_eq!(request.0[312..320], [0; 8], "first sector");
        assert_eq!(request.0[320..328], 2_097_152u64.to_ne_bytes());
        assert_eq!(&request.0[336..343], b"verity\0");
        assert_eq!(&request.0[352..352 + line.len()], line.as_bytes());
        assert_eq!(request.0[352 + line.len()], 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut request = Request::new(&Name::try_from("m".to_owned()).unwrap(), 0).unwrap();
        let room = REQUEST - HEADER - TARGET;
        assert!(request.add_target(8, "verity", &"x".repeat(room)).is_none());
        assert!(request.add_target(8, "verity", &"x".repeat(room - 1)).is_some());
    }
}
