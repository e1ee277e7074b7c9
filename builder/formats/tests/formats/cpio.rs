use std::io::Write;
use std::process::Stdio;

use proptest::prelude::*;
use sealstone_formats::cpio::{Entry, Kind, dump, locate, parse, parse_canonical, write};

use crate::oracle::{assert_golden, oracle};
use crate::sample;

#[test]
fn golden() {
    let initrd = sample::initrd();
    assert_golden(include_str!("../goldens/initrd.txt"), &dump(&initrd));
    assert_eq!(initrd.len() % 512, 0);
    parse_canonical(&initrd).unwrap();
}

#[test]
fn places() {
    let initrd = sample::initrd();
    let archive = parse(&initrd).unwrap();
    let config = archive.members.iter().find(|member| member.name == "etc/sealstone/config.json").unwrap();
    let cases = [
        (0, "cpio entry `.`, header field magic"),
        (config.offset + 46, "cpio entry `etc/sealstone/config.json`, header field mtime"),
        (config.offset + 110, "cpio entry `etc/sealstone/config.json`, name, byte 0"),
        (config.data_offset + 2, "cpio entry `etc/sealstone/config.json`, data, byte 2"),
        (config.data_offset + 3, "cpio entry `etc/sealstone/config.json`, padding behind the data"),
        (archive.trailer_offset + 14, "cpio trailer, header field mode"),
        (initrd.len() - 1, "cpio padding behind the trailer"),
        (initrd.len() + 9, "cpio padding behind the trailer"),
    ];
    for (offset, expected) in cases {
        assert!(locate(&initrd, offset).starts_with(expected), "{}", locate(&initrd, offset));
    }
}

/// GNU cpio lists exactly the members, with their modes, link counts, devices, sizes, times and targets.
#[test]
fn gnu_cpio_agrees() {
    let Some(mut cpio) = oracle("gnu_cpio_agrees", "cpio") else { return };
    let cpio = cpio.args(["-itv", "--numeric-uid-gid"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cpio.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&sample::initrd()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listing = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<String> = listing.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    // A file of the past year is listed with the hour, an older or future one with the year.
    let lines: Vec<String> = lines.iter().map(|line| line.replace(" 00:00 ", " 2026 ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-x 4 0 0 0 Jul 6 2026 .",
            "drwxr-xr-x 2 0 0 0 Jul 6 2026 dev",
            "crw------- 1 0 0 5, 1 Jul 6 2026 dev/console",
            "drwxr-xr-x 3 0 0 0 Jul 6 2026 etc",
            "drwxr-xr-x 2 0 0 0 Jul 6 2026 etc/sealstone",
            "-r--r--r-- 1 0 0 3 Jul 6 2026 etc/sealstone/config.json",
            "-rwxr-xr-x 1 0 0 13 Jul 6 2026 init",
            "lrwxrwxrwx 1 0 0 4 Jul 6 2026 linuxrc -> init",
        ]
    );
}

/// What a declared tree may hold: a flat set of directories and things in them.
fn tree() -> impl Strategy<Value = Vec<(String, u32, Owned)>> {
    let name = "[a-zA-Z0-9_.+-]{1,12}".prop_filter("reserved", |name| !matches!(name.as_str(), "." | ".."));
    let kind = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600).prop_map(Owned::File),
        "[ -~]{1,40}".prop_map(Owned::Symlink),
        (0u32..4096, 0u32..1 << 20).prop_map(|(major, minor)| Owned::Device(major, minor)),
    ];
    let things = proptest::collection::btree_map(name.clone(), (0u32..0o10000, kind), 0..6);
    proptest::collection::btree_map(name, things, 0..5).prop_map(|directories| {
        let mut entries = Vec::new();
        for (directory, things) in directories {
            for (name, (mode, kind)) in things {
                let mode = if matches!(kind, Owned::Symlink(_)) { 0o777 } else { mode };
                entries.push((format!("{directory}/{name}"), mode, kind));
            }
            entries.push((directory, 0o755, Owned::Directory));
        }
        entries
    })
}

#[derive(Clone, Debug)]
enum Owned {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    Device(u32, u32),
}

fn borrowed(entries: &[(String, u32, Owned)]) -> Vec<Entry<'_>> {
    let kind = |owned| match owned {
        &Owned::Directory => Kind::Directory,
        Owned::File(data) => Kind::File(data),
        Owned::Symlink(target) => Kind::Symlink(target),
        &Owned::Device(major, minor) => Kind::CharDevice { major, minor },
    };
    entries.iter().map(|(path, mode, owned)| Entry { path, mode: *mode, kind: kind(owned) }).collect()
}

proptest! {
    #[test]
    fn round_trip(entries in tree(), epoch in 0u64..1 << 32, offset in 0usize..20_000) {
        let entries = borrowed(&entries);
        let mut out = Vec::new();
        write(&entries, epoch, &mut out).unwrap();
        let archive = parse_canonical(&out).unwrap();
        prop_assert_eq!(archive.members.len(), entries.len());
        for (index, member) in archive.members.iter().enumerate() {
            let entry = entries.iter().find(|entry| entry.path == member.name).unwrap();
            let data: &[u8] = match entry.kind {
                Kind::File(data) => data,
                Kind::Symlink(target) => target.as_bytes(),
                _ => &[],
            };
            prop_assert_eq!(member.data, data);
            prop_assert_eq!(member.header.mode & 0o7777, entry.mode);
            prop_assert_eq!(member.header.ino as usize, index + 1);
            prop_assert_eq!(u64::from(member.header.mtime), epoch);
        }
        prop_assert!(locate(&out, offset).starts_with("cpio"));
    }
}
