//! Unpacking: what is kept, what is normalised, what is refused, and that threads and attackers change none of it.
#![allow(clippy::unwrap_used, reason = "clippy takes only the test functions themselves for test code")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;

use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use sealstone_sandbox::{Order, PackageFile, RootPlan, SandboxError, UnpackError, unpack_deb, unpack_tar};
use sealstone_spec::Sha256;
use tar::EntryType;
use tempfile::TempDir;

const MTIME: u64 = 1_600_000_000;

/// A member as an attacker would write it: names and targets go into the header unchecked.
#[derive(Clone, Debug)]
struct Raw<'a> {
    name: &'a str,
    kind: EntryType,
    mode: u32,
    target: &'a str,
    data: &'a [u8],
}

fn file<'a>(name: &'a str, data: &'a [u8]) -> Raw<'a> {
    Raw { name, kind: EntryType::Regular, mode: 0o644, target: "", data }
}

fn link<'a>(kind: EntryType, name: &'a str, target: &'a str) -> Raw<'a> {
    Raw { name, kind, mode: 0o777, target, data: b"" }
}

fn directory(name: &str) -> Raw<'_> {
    Raw { name, kind: EntryType::Directory, mode: 0o700, target: "", data: b"" }
}

fn tar(members: &[Raw<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.as_old_mut().linkname[..member.target.len()].copy_from_slice(member.target.as_bytes());
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_mtime(MTIME);
        header.set_size(member.data.len() as u64);
        header.set_cksum();
        builder.append(&header, member.data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn deb(members: &[Raw<'_>]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, data) in
        [("debian-binary", b"2.0\n".to_vec()), ("control.tar.xz", xz(&tar(&[]))), ("data.tar.xz", xz(&tar(members)))]
    {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", data.len()).unwrap();
        out.extend(&data);
        out.resize(out.len().next_multiple_of(2), b'\n');
    }
    out
}

/// Everything below `dir` in words: path, kind, permissions, time, content or target.
fn listing(dir: &Path) -> BTreeMap<String, String> {
    fn walk(dir: &Path, base: &Path, into: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let what = if meta.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else if meta.is_dir() {
                walk(&path, base, into);
                "directory".into()
            } else {
                format!("file {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
            };
            let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
            let name = path.strip_prefix(base).unwrap().display().to_string();
            into.insert(name, format!("{mode:o} {} {what}", meta.mtime()));
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

fn unpacked(archive: &[u8]) -> Result<(TempDir, BTreeMap<String, String>), SandboxError> {
    let dir = tempfile::tempdir().unwrap();
    unpack_tar(archive, dir.path(), 0, Order::Archive)?;
    let list = listing(dir.path());
    Ok((dir, list))
}

fn expect(list: &BTreeMap<String, String>, want: &[(&str, &str)]) {
    let want: BTreeMap<String, String> = want.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(list, &want);
}

#[test]
fn every_compression_gives_the_same_tree() {
    let members = [
        directory("./d/"),
        file("./d/plain", b"one"),
        Raw { mode: 0o6755, ..file("./d/setuid", b"two") },
        Raw { mode: 0o400, ..file("./implied/parent/read-only", b"three") },
        link(EntryType::Symlink, "d/absolute", "/etc/passwd"),
        link(EntryType::Link, "d/hard", "./d/plain"),
    ];
    let plain = tar(&members);
    for archive in [plain.clone(), xz(&plain), gz(&plain)] {
        let (dir, list) = unpacked(&archive).unwrap();
        expect(
            &list,
            &[
                ("d", "755 315532800 directory"),
                ("d/absolute", "0 1600000000 link /etc/passwd"),
                ("d/hard", "644 1600000000 file one"),
                ("d/plain", "644 1600000000 file one"),
                ("d/setuid", "755 1600000000 file two"),
                ("implied", "755 315532800 directory"),
                ("implied/parent", "755 315532800 directory"),
                ("implied/parent/read-only", "644 1600000000 file three"),
            ],
        );
        let inode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().ino();
        assert_eq!(inode("d/hard"), inode("d/plain"));
    }
}

#[test]
fn malicious_members_are_refused_and_nothing_outside_changes() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("victim"), "untouched").unwrap();
    let there = outside.path().to_str().unwrap();
    let (victim, up) =
        (format!("{there}/victim"), format!("../{}/victim", outside.path().file_name().unwrap().to_str().unwrap()));
    let device = |kind| Raw { name: "node", kind, mode: 0o666, target: "", data: b"" };
    let cases: &[(&str, Vec<Raw<'_>>)] = &[
        ("absolute name", vec![file(&victim, b"x")]),
        ("name with ..", vec![file(&up, b"x")]),
        ("name with .. that stays inside", vec![directory("a"), file("a/../b", b"x")]),
        ("file through a link", vec![link(EntryType::Symlink, "l", there), file("l/victim", b"x")]),
        ("file through a link to the tree itself", vec![link(EntryType::Symlink, "l", "."), file("l/victim", b"x")]),
        ("directory over a link", vec![link(EntryType::Symlink, "l", there), directory("l"), file("l/victim", b"x")]),
        ("file through a file", vec![file("f", b"x"), file("f/victim", b"x")]),
        ("hard link outside", vec![link(EntryType::Link, "h", &victim)]),
        ("hard link outside by ..", vec![link(EntryType::Link, "h", &up)]),
        ("hard link through a link", vec![link(EntryType::Symlink, "l", there), link(EntryType::Link, "h", "l/victim")]),
        ("hard link to nothing", vec![link(EntryType::Link, "h", "nothing")]),
        ("hard link to a directory", vec![directory("d"), link(EntryType::Link, "h", "d")]),
        ("hard link to itself", vec![link(EntryType::Link, "h", "h")]),
        ("block device", vec![device(EntryType::Block)]),
        ("character device", vec![device(EntryType::Char)]),
        ("named pipe", vec![device(EntryType::Fifo)]),
        ("file where a directory is", vec![directory("d"), file("d", b"x")]),
        ("link without a target", vec![link(EntryType::Symlink, "l", "")]),
    ];
    for (what, members) in cases {
        for archive in [tar(members), xz(&tar(members))] {
            let result = unpacked(&archive);
            assert!(matches!(result, Err(SandboxError::Unpack { .. })), "{what}: {result:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        assert!(unpack_deb(deb(members).as_slice(), dir.path(), Order::Archive).is_err(), "{what} in a package");
        assert_eq!(fs::read_to_string(outside.path().join("victim")).unwrap(), "untouched", "{what}");
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "{what}");
    }
}

/// A link replaced by a file of the same name: the file must replace the link, not go through it.
#[test]
fn a_file_replaces_a_link_of_its_name() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    let (_dir, list) = unpacked(&tar(&[link(EntryType::Symlink, "l", victim.to_str().unwrap()), file("l", b"data")])).unwrap();
    expect(&list, &[("l", "644 1600000000 file data")]);
    assert!(!victim.exists());
}

#[test]
fn damage_is_noticed() {
    let members = [file("a", &[7; 5000]), file("b", b"b")];
    for whole in [tar(&members), xz(&tar(&members)), gz(&tar(&members))] {
        for cut in [1, whole.len() / 4] {
            assert!(unpacked(&whole[..cut]).is_err(), "cut to {cut} of {}", whole.len());
        }
    }
    let mut flipped = xz(&tar(&members));
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(unpacked(&flipped).is_err());
    for (magic, name) in [(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0][..], "zstd"), (b"BZh91AY", "bzip2")] {
        assert!(unpacked(magic).unwrap_err().to_string().contains(name));
    }
    assert!(unpacked(b"").is_err());
}

#[test]
fn stripping_applies_to_hard_link_targets_too() {
    let archive = tar(&[directory("top/"), file("top/a", b"x"), link(EntryType::Link, "top/b", "top/a"), file("stray", b"x")]);
    let dir = tempfile::tempdir().unwrap();
    unpack_tar(archive.as_slice(), dir.path(), 1, Order::Archive).unwrap();
    expect(&listing(dir.path()), &[("a", "644 1600000000 file x"), ("b", "644 1600000000 file x")]);
}

#[test]
fn a_second_archive_goes_over_the_first() {
    let dir = tempfile::tempdir().unwrap();
    for text in [b"first", b"later"] {
        let archive = tar(&[directory("d"), file("d/x", text)]);
        unpack_tar(archive.as_slice(), dir.path(), 0, Order::Shuffled(3)).unwrap();
    }
    expect(&listing(dir.path()), &[("d", "755 315532800 directory"), ("d/x", "644 1600000000 file later")]);
}

/// A plan over packages written to `dir`.
fn plan(dir: &Path, packages: &[Vec<Raw<'_>>], links: &[(&str, &str)]) -> RootPlan {
    let files = packages.iter().enumerate().map(|(number, members)| {
        let (bytes, path) = (deb(members), dir.join(format!("{number}.deb")));
        fs::write(&path, &bytes).unwrap();
        PackageFile { name: format!("package{number}"), sha256: Sha256::of(&bytes), path }
    });
    let links = links.iter().map(|(path, target)| (path.to_string(), target.to_string())).collect();
    RootPlan { name: "test".into(), packages: files.collect(), links }
}

fn unpack_plan(plan: &RootPlan) -> Result<BTreeMap<String, String>, SandboxError> {
    let dest = tempfile::tempdir().unwrap();
    plan.unpack(dest.path(), &|_, _| {})?;
    Ok(listing(dest.path()))
}

#[test]
fn packages_merge_into_one_root() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [
        vec![file("./bin/dash", b"d"), file("./lib64/ld.so", b"l"), link(EntryType::Symlink, "./bin", "usr/bin")],
        vec![
            file("./usr/bin/gcc-12", b"g"),
            file("./etc/hosts", b"mine"),
            link(EntryType::Link, "./usr/bin/again", "./usr/bin/gcc-12"),
        ],
    ];
    let plan = plan(dir.path(), &packages, &[("usr/bin/sh", "dash"), ("bin/cc", "gcc-12"), ("usr/bin/again", "replaced")]);
    let told = Mutex::new(Vec::new());
    let dest = tempfile::tempdir().unwrap();
    plan.unpack(dest.path(), &|done, name| told.lock().unwrap().push((done, name.to_owned()))).unwrap();
    let list = listing(dest.path());
    for (path, what) in [
        ("bin", "0 315532800 link usr/bin"),
        ("usr/bin/dash", "644 1600000000 file d"),
        ("usr/bin/sh", "0 315532800 link dash"),
        ("usr/bin/cc", "0 315532800 link gcc-12"),
        ("usr/bin/again", "0 315532800 link replaced"),
        ("usr/lib64/ld.so", "644 1600000000 file l"),
        ("etc/hosts", "644 1600000000 file mine"),
        ("usr/sbin", "755 315532800 directory"),
        ("build", "755 315532800 directory"),
    ] {
        assert_eq!(list.get(path).map(String::as_str), Some(what), "{path}");
    }
    assert!(list["etc/passwd"].contains("build:x:1000:"));
    let mut told = told.into_inner().unwrap();
    told.sort();
    assert_eq!(told.iter().map(|(done, _)| *done).collect::<Vec<_>>(), [1, 2]);
}

/// The package later in the lock wins whichever thread is first: the contested file is the last that a big first package
/// writes in one plan, and the first that it writes in the other.
#[test]
fn lock_order_decides_contested_files() {
    let dir = tempfile::tempdir().unwrap();
    let filler: Vec<String> = (0..200).map(|i| format!("fill/{i}")).collect();
    let big = |text: &'static [u8], at_end: bool| {
        let mut members: Vec<Raw<'_>> = filler.iter().map(|name| file(name, &[1; 3000])).collect();
        let at = if at_end { members.len() } else { 0 };
        members.insert(at, file("usr/contested", text));
        members
    };
    let small = |text: &'static [u8]| vec![file("usr/contested", text)];
    for at_end in [true, false] {
        for packages in [[big(b"first", at_end), small(b"last")], [small(b"first"), big(b"last", at_end)]] {
            let list = unpack_plan(&plan(dir.path(), &packages, &[])).unwrap();
            assert_eq!(list["usr/contested"], "644 1600000000 file last");
        }
    }
}

#[test]
fn contradictions_between_packages_are_errors_in_either_order() {
    let dir = tempfile::tempdir().unwrap();
    let one = vec![link(EntryType::Symlink, "usr/share/doc/x", "y"), file("usr/share/doc/y/z", b"")];
    let two = vec![file("usr/share/doc/x/copyright", b"")];
    for packages in [[one.clone(), two.clone()], [two, one]] {
        let error = unpack_plan(&plan(dir.path(), &packages, &[])).unwrap_err();
        assert!(matches!(error, SandboxError::Unpack { source: UnpackError::NotADirectory { .. }, .. }), "{error}");
        assert!(error.to_string().contains("usr/share/doc/x"), "{error}");
    }
    // A hard link never binds to a file that another package has put in its target's place.
    let one = vec![file("usr/a", b"one"), link(EntryType::Link, "usr/b", "usr/a")];
    let error = unpack_plan(&plan(dir.path(), &[one, vec![file("usr/a", b"two")]], &[])).unwrap_err();
    assert!(matches!(error, SandboxError::Unpack { source: UnpackError::HardLink { .. }, .. }), "{error}");
}

#[test]
fn a_package_that_is_not_the_locked_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(dir.path(), &[vec![file("a", b"x")]], &[]);
    let mut bytes = fs::read(&plan.packages[0].path).unwrap();
    bytes.push(0);
    fs::write(&plan.packages[0].path, bytes).unwrap();
    let error = unpack_plan(&plan).unwrap_err();
    assert!(matches!(error, SandboxError::Unpack { source: UnpackError::Digest { .. }, .. }), "{error}");
    assert!(error.to_string().contains("package0"), "{error}");
}

#[test]
fn the_digest_names_everything_that_matters() {
    let dir = tempfile::tempdir().unwrap();
    let packages = [vec![file("a", b"1")], vec![file("a", b"2")]];
    let base = plan(dir.path(), &packages, &[("a", "b")]);
    let mut swapped = base.clone();
    swapped.packages.swap(0, 1);
    let mut fewer = base.clone();
    fewer.packages.pop();
    let mut renamed = base.clone();
    renamed.name = "another".into();
    renamed.packages[0].name = "another".into();
    let relinked = |path: &str, target: &str| RootPlan { links: BTreeMap::from([(path.into(), target.into())]), ..base.clone() };
    assert_eq!(base.digest(), renamed.digest());
    let all = [base.clone(), swapped, fewer, relinked("a", "c"), relinked("a 1:b", ""), relinked("a\nlink 1:a", "b")];
    let digests: std::collections::BTreeSet<_> = all.iter().map(RootPlan::digest).collect();
    assert_eq!(digests.len(), all.len());
    // sha256sum of the documented text.
    let empty = RootPlan { name: String::new(), packages: vec![], links: BTreeMap::from([("usr/bin/sh".into(), "dash".into())]) };
    assert_eq!(empty.digest().to_string(), "c2d0c5b9f52b21c4c5cadfde002c58548a8a8f6fab92e95eeabc201c1aad275a");
}

/// An independent writer: a package that Debian's own tool has built comes out as it went in.
#[test]
fn a_package_of_dpkg_deb() {
    let dir = tempfile::tempdir().unwrap();
    let (tree, package, dest) = (dir.path().join("tree"), dir.path().join("x.deb"), dir.path().join("dest"));
    let long = format!("usr/share/{}/{}", "d".repeat(90), "f".repeat(90));
    fs::create_dir_all(tree.join(&long).parent().unwrap()).unwrap();
    fs::create_dir(tree.join("DEBIAN")).unwrap();
    fs::create_dir(&dest).unwrap();
    fs::write(
        tree.join("DEBIAN/control"),
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n",
    )
    .unwrap();
    fs::write(tree.join(&long), vec![b'z'; 300_000]).unwrap();
    fs::hard_link(tree.join(&long), tree.join("usr/hard")).unwrap();
    std::os::unix::fs::symlink("/dev/null", tree.join("usr/soft")).unwrap();
    // dpkg-deb takes no time later than its own start's second; a file system's finer clock may be past it already.
    let old = |seconds: i64| Timespec { tv_sec: 1_700_000_000 + seconds, tv_nsec: 0 };
    for (name, seconds) in [(long.as_str(), 1), ("usr/soft", 2)] {
        let times = Timestamps { last_access: old(seconds), last_modification: old(seconds) };
        utimensat(CWD, tree.join(name), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    }
    for compression in ["-Zxz", "-Zgzip", "-Znone"] {
        let command = sealstone_sandbox::HostCommand {
            argv: ["dpkg-deb", "--root-owner-group", compression, "-b", tree.to_str().unwrap(), package.to_str().unwrap()]
                .map(String::from)
                .to_vec(),
            ..Default::default()
        };
        match sealstone_sandbox::host_command(&command) {
            Err(SandboxError::HostCommandNotStarted { .. }) => {
                return println!("SKIPPED a_package_of_dpkg_deb: there is no dpkg-deb");
            }
            other => drop(other.unwrap()),
        }
        unpack_deb(fs::File::open(&package).unwrap(), &dest, Order::Archive).unwrap();
        let files = |mut list: BTreeMap<String, String>| {
            list.retain(|name, what| !name.starts_with("DEBIAN") && !what.ends_with(" directory"));
            list
        };
        let (got, want) = (files(listing(&dest)), files(listing(&tree)));
        assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{compression}");
        for (name, what) in &want {
            // Without the 300,000 bytes, a failure can be read.
            let short = |what: &str| what.chars().take(200).collect::<String>();
            assert!(got[name] == *what, "{compression} {name}: {} is {}", short(what), short(&got[name]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is unpacked is what went in, in whatever order the directories are made.
    #[test]
    fn round_trip(files in proptest::collection::btree_map("[a-c]{1,2}/[d-f]{1,3}", proptest::collection::vec(any::<u8>(), 0..2000), 0..12), seed: u64) {
        let members: Vec<Raw<'_>> = files.iter().map(|(name, data)| file(name, data)).collect();
        let archive = xz(&tar(&members));
        for order in [Order::Archive, Order::Shuffled(seed)] {
            let dir = tempfile::tempdir().unwrap();
            unpack_tar(archive.as_slice(), dir.path(), 0, order).unwrap();
            for (name, data) in &files {
                prop_assert_eq!(&fs::read(dir.path().join(name)).unwrap(), data);
            }
            let count = listing(dir.path()).values().filter(|what| what.contains(" file ")).count();
            prop_assert_eq!(count, files.len());
        }
    }

    /// Whatever bytes come, the answer is an error or a tree, never a panic.
    #[test]
    fn arbitrary_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..3000), which in 0usize..3) {
        let prefix: &[u8] = [&b""[..], b"!<arch>\ndebian-binary   ", &[0xfd, b'7', b'z', b'X', b'Z', 0]][which];
        bytes.splice(0..0, prefix.iter().copied());
        let dir = tempfile::tempdir().unwrap();
        let _ = unpack_tar(bytes.as_slice(), dir.path(), 0, Order::Archive);
        let _ = unpack_deb(bytes.as_slice(), dir.path(), Order::Archive);
    }
}
