//! The formats that hold others: disk, volume, program image, archive, pack.

use sealstone_formats::{cpio as archive, erofs, fat as volume, gpt as disk, pe as image, verity};

use super::{Leaf, Parts};

/// A pack's contents are compared as a whole; longer files are compared by their inodes alone.
const MAX_CONTENT: u64 = 256 << 20;

pub(super) fn gpt(bytes: &[u8]) -> Option<Parts<'_>> {
    let table = disk::parse(bytes).ok()?;
    let mut leaves = vec![
        Leaf::text("GPT disk GUID", table.disk_guid),
        Leaf::text("GPT usable blocks", format!("{:?}", table.usable)).derived(),
    ];
    for entry in table.partitions {
        let at = format!("GPT partition `{}`", entry.name);
        leaves.extend([
            Leaf::text(format!("{at}, field type"), entry.kind),
            Leaf::text(format!("{at}, field GUID"), entry.guid),
            Leaf::text(format!("{at}, field attributes"), format!("{:#x}", entry.attributes)),
            Leaf::text(format!("{at}, field first LBA"), entry.first_lba),
            Leaf::bytes(at.clone(), entry.content),
            Leaf::text(format!("{at}, field last LBA"), entry.last_lba).derived(),
        ]);
    }
    Some(Parts { format: "gpt", leaves })
}

pub(super) fn fat(bytes: &[u8]) -> Option<Parts<'_>> {
    let read = volume::parse(bytes).ok()?;
    let mut leaves = vec![
        Leaf::text("FAT volume id", format!("{:08x}", read.id)),
        Leaf::text("FAT label", read.label.escape_ascii()),
        Leaf::text("FAT hidden sectors", read.hidden_sectors),
        Leaf::text("FAT cluster length", read.cluster_len).derived(),
        Leaf::text("FAT clusters", read.clusters).derived(),
        Leaf::text("FAT free clusters", read.free).derived(),
    ];
    for node in &read.nodes {
        leaves.push(match node.directory {
            true => Leaf::text(format!("FAT directory /{}", node.path), "there"),
            false => Leaf::bytes(format!("FAT file {}", node.path), read.read_file(&node.path)?),
        });
    }
    Some(Parts { format: "fat", leaves })
}

pub(super) fn pe(bytes: &[u8]) -> Option<Parts<'_>> {
    let read = image::parse(bytes).ok()?;
    let mut leaves = vec![
        Leaf::text("PE machine", format!("{:#x}", read.machine)),
        Leaf::text("PE time stamp", read.timestamp),
        Leaf::text("PE subsystem", read.subsystem),
        Leaf::text("PE entry point", format!("{:#x}", read.entry_point)),
        Leaf::text("PE alignment", format!("{:#x}/{:#x}", read.section_alignment, read.file_alignment)),
        Leaf::text("PE image size", read.image_size).derived(),
        Leaf::text("PE size of initialised data", read.initialized_size).derived(),
        Leaf::text("PE header size", read.headers_size).derived(),
        Leaf::text("PE checksum", format!("{:#x}", read.checksum)).derived(),
    ];
    for section in &read.sections {
        let at = format!("PE section {}", section.name());
        leaves.extend([
            Leaf::bytes(at.clone(), section.content()),
            Leaf::text(format!("{at}, field Characteristics"), format!("{:08x}", section.characteristics)),
            Leaf::text(format!("{at}, field VirtualAddress"), format!("{:#x}", section.virtual_address)).derived(),
        ]);
    }
    Some(Parts { format: "pe", leaves })
}

pub(super) fn cpio(bytes: &[u8]) -> Option<Parts<'_>> {
    let read = archive::parse(bytes).ok()?;
    let mut leaves = Vec::new();
    for member in &read.members {
        let at = format!("cpio entry `{}`", member.name);
        let header = &member.header;
        let field = |name: &str, value: String| Leaf::text(format!("{at}, header field {name}"), value);
        leaves.extend([
            field("mode", format!("{:06o}", header.mode)),
            field("uid", header.uid.to_string()),
            field("gid", header.gid.to_string()),
            field("mtime", header.mtime.to_string()),
            field("dev", format!("{}:{}", header.devmajor, header.devminor)),
            field("rdev", format!("{}:{}", header.rdevmajor, header.rdevminor)),
            Leaf::bytes(at.clone(), member.data),
            field("ino", header.ino.to_string()).derived(),
            field("nlink", header.nlink.to_string()).derived(),
        ]);
    }
    Some(Parts { format: "cpio", leaves })
}

/// An EROFS image with or without the verity area of a pack behind it.
pub(super) fn pack(bytes: &[u8]) -> Option<Parts<'_>> {
    let read = erofs::parse(bytes).ok()?;
    let mut leaves = vec![Leaf::text("EROFS UUID", read.uuid), Leaf::text("EROFS epoch", read.epoch)];
    for (index, node) in read.nodes.iter().enumerate() {
        let at = format!("EROFS inode `/{}`", read.path(index));
        let field = |name: &str, value: String| Leaf::text(format!("{at}, field {name}"), value);
        leaves.extend([
            field("mode", format!("{:06o}", node.mode)),
            field("owner", format!("{}:{}", node.owner.0, node.owner.1)),
            field("mtime", node.mtime.to_string()),
            field("size", node.size.to_string()),
        ]);
        if matches!(node.kind, erofs::Kind::File) && node.size <= MAX_CONTENT {
            let mut content = Vec::new();
            for extent in &node.extents {
                let (start, end) = (usize::try_from(extent.start).ok()?, usize::try_from(extent.end).ok()?);
                content.extend_from_slice(bytes.get(start..end)?);
            }
            leaves.push(Leaf::bytes(at.clone(), content));
        }
    }
    let end = usize::try_from(read.blocks).ok()?.checked_mul(erofs::BLOCK)?;
    if let Some(area) = bytes.get(end..).filter(|area| !area.is_empty()) {
        leaves.extend(area_leaves(area)?);
    }
    Some(Parts { format: "erofs", leaves })
}

fn area_leaves(area: &[u8]) -> Option<Vec<Leaf<'_>>> {
    let superblock = verity::Superblock::parse(area.get(..verity::BLOCK)?).ok()?;
    let mut leaves = vec![
        Leaf::text("verity superblock, field salt", superblock.salt),
        Leaf::text("verity superblock, field UUID", superblock.uuid),
    ];
    for (number, block) in area.get(verity::BLOCK..)?.chunks(verity::BLOCK).enumerate() {
        leaves.push(Leaf::bytes(format!("verity hash block {number}"), block).derived());
    }
    Some(leaves)
}
