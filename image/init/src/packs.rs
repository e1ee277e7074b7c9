//! Model packs: found by content, bound by dm-verity to the measured root, mounted read-only.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use sealstone_config::{BLOCK, Digest, Model};
use sha2::Digest as _;

use crate::dm::{DeviceMapper, Verity};
use crate::fatal::{Context, Fatal};
use crate::{console, mounts};

/// Where packs are mounted, each under its model's name.
const PACKS: &str = "/packs";

/// Blocks between a pack's data and the first block of its hash tree. The one block is where veritysetup(8) keeps a
/// superblock, so that this tool can check a pack; here it is skipped, because all parameters are measured.
const SUPERBLOCK_BLOCKS: u64 = 1;

/// How long a required pack's disk may take to appear.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

/// Brings every pack up that a disk holds; returns for each model whether its pack is mounted. A required one that no disk holds in a form
/// that can be mounted is fatal, an optional one is reported.
pub(crate) fn bring_up(models: &[Model]) -> Result<Vec<bool>, Fatal> {
    if models.is_empty() {
        return Ok(Vec::new());
    }
    mounts::folder(PACKS)?;
    let mapper = DeviceMapper::open().doing("opening the device mapper")?;
    let found = find(models)?;
    models.iter().zip(found).map(|(model, disks)| settle(&mapper, model, &disks)).collect()
}

/// Mounts the pack from the first of `disks` from which that works: a sound copy serves although there is a damaged one.
fn settle(mapper: &DeviceMapper, model: &Model, disks: &[PathBuf]) -> Result<bool, Fatal> {
    for disk in disks {
        match attach(mapper, model, disk) {
            Ok(()) => return Ok(true),
            Err(fatal) => console::say(&format!("pack {} on {} is damaged: {fatal}", model.name, disk.display())),
        }
    }
    match (model.required, disks.is_empty()) {
        (true, true) => Err(Fatal::NoPack(model.name.clone())),
        (true, false) => Err(Fatal::BadPack(model.name.clone())),
        (false, _) => {
            console::say(&format!("no disk gives the pack {}, going on without it", model.name));
            Ok(false)
        }
    }
}

/// For each model the disks whose top hash block is its pack's. Looks again while a required one is missing, for a bounded time.
fn find(models: &[Model]) -> Result<Vec<Vec<PathBuf>>, Fatal> {
    let start = Instant::now();
    loop {
        let disks = virtio_disks(Path::new("/sys/block")).doing("listing disks")?;
        let found: Vec<Vec<_>> = models.iter().map(|m| disks.iter().filter(|d| holds(d, m)).cloned().collect()).collect();
        let missing = models.iter().zip(&found).any(|(m, disks)| m.required && disks.is_empty());
        if !missing || start.elapsed() >= PATIENCE {
            return Ok(found);
        }
        sleep(PAUSE);
    }
}

/// The virtio block devices among the kernel's.
fn virtio_disks(sys_block: &Path) -> std::io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(sys_block)?.map(|entry| entry.map(|e| e.file_name()));
    Ok(device_nodes(names.collect::<Result<_, _>>()?))
}

/// The nodes of virtio block devices, by name, so that the choice between two equal disks doesn't vary.
fn device_nodes(mut names: Vec<OsString>) -> Vec<PathBuf> {
    names.retain(|name| name.as_bytes().starts_with(b"vd"));
    names.sort_unstable();
    names.iter().map(|name| Path::new("/dev").join(name)).collect()
}

/// Whether the top hash block on `disk` is the one that the model's root names. Only those 4096 bytes are looked at, and
/// only through SHA-256. A disk that can't be read there doesn't hold the pack.
fn holds(disk: &Path, model: &Model) -> bool {
    let read = || -> Option<Digest> {
        let offset = tree_start(model)?.checked_mul(BLOCK)?;
        let mut block = [0u8; BLOCK as usize];
        File::open(disk).ok()?.read_exact_at(&mut block, offset).ok()?;
        Some(root_of(&model.salt, &block))
    };
    read() == Some(model.root)
}

/// First block of the hash tree, which is its top. Source: Linux, Documentation/admin-guide/device-mapper/verity.rst.
fn tree_start(model: &Model) -> Option<u64> {
    model.size.blocks().checked_add(SUPERBLOCK_BLOCKS)
}

/// dm-verity's version 1 hash: salt first.
fn root_of(salt: &Digest, block: &[u8]) -> Digest {
    let hash = sha2::Sha256::new().chain_update(salt.as_bytes()).chain_update(block).finalize();
    Digest::from_bytes(hash.into())
}

/// From here the kernel checks every block against the measured root; what is on the disk no longer matters. Where it can't be mounted, no
/// device is left behind.
fn attach(mapper: &DeviceMapper, model: &Model, disk: &Path) -> Result<(), Fatal> {
    let doing = format!("bringing up pack {}", model.name);
    let start = tree_start(model).ok_or_else(|| std::io::Error::other("size")).doing(&doing)?;
    let verity = Verity {
        name: &model.name,
        disk,
        data_blocks: model.size.blocks(),
        tree_start: start,
        root: &model.root,
        salt: &model.salt,
    };
    let target = format!("{PACKS}/{}", model.name);
    mounts::folder(&target)?;
    let flags = MountFlags::RDONLY | MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    let mounted =
        mapper.create_verity(&verity).and_then(|device| Ok(mount(&device, target.as_str(), "erofs", flags, Some(c""))?));
    if mounted.is_err() {
        // It may not even have come into being.
        let _ = mapper.remove(&model.name);
    }
    mounted.doing(&doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(size: u64, root: Digest, salt: Digest) -> Model {
        let text = |s: &str| s.to_owned();
        Model {
            file: text("m.gguf").try_into().unwrap(),
            name: text("m").try_into().unwrap(),
            required: true,
            root,
            salt,
            size: size.try_into().unwrap(),
        }
    }

    /// A disk in memory, whose path holds as long as the file is open.
    fn disk(bytes: &[u8]) -> (File, PathBuf) {
        use std::os::fd::AsRawFd;
        let mut file = File::from(rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        std::io::Write::write_all(&mut file, bytes).unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        (file, path)
    }

    #[test]
    fn a_pack_is_known_by_its_top_hash_block() {
        let salt = Digest::of(b"salt");
        let mut salted = salt.as_bytes().to_vec();
        salted.extend([7u8; 4096]);
        let root = Digest::of(&salted);
        // Two blocks of data, one for the superblock, one of tree.
        let mut good = vec![0u8; 4 * 4096];
        good[3 * 4096..].fill(7);
        let mut flipped = good.clone();
        flipped[3 * 4096 + 1] ^= 1;
        let mut other_superblock = good.clone();
        other_superblock[2 * 4096..3 * 4096].fill(0xff);

        let table: &[(&str, &[u8], u64, Digest, bool)] = &[
            ("the pack", &good, 8192, salt, true),
            ("another superblock, which isn't read", &other_superblock, 8192, salt, true),
            ("another salt", &good, 8192, Digest::of(b"other"), false),
            ("another size, beyond the disk's end", &good, 3 * 4096, salt, false),
            ("one bit", &flipped, 8192, salt, false),
            ("cut", &good[..4 * 4096 - 1], 8192, salt, false),
            ("empty", &[], 8192, salt, false),
        ];
        for (what, bytes, size, salt, expected) in table {
            let (_open, path) = disk(bytes);
            assert_eq!(holds(&path, &model(*size, root, *salt)), *expected, "{what}");
        }
        assert!(!holds(Path::new("/nonexistent"), &model(8192, root, salt)), "no such disk");
    }

    #[test]
    fn only_virtio_disks_are_looked_at() {
        let names = ["vdb", "sda", "dm-0", "loop0", "vda", "nvme0n1", "vdaa"].map(OsString::from);
        assert_eq!(device_nodes(names.into()), ["/dev/vda", "/dev/vdaa", "/dev/vdb"].map(PathBuf::from));
    }
}
