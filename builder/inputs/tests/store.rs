//! The store as other processes leave it: killed, interrupted by a full disk, or at work at the same time.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use sealstone_inputs::{Condition, Expect, InputsError, Store, remove_tree};
use sealstone_spec::Sha256;

/// The folder that a child process works in.
const FOLDER: &str = "SEALSTONE_TEST_STORE";

const KILLS: u64 = 20;

#[test]
fn publishing_and_reading_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let sha256 = store.publish_bytes(b"abc").unwrap();
    let path = store.object(&sha256);
    assert!(path.ends_with("objects/ba/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert!(path.metadata().unwrap().permissions().readonly());
    assert_eq!(store.publish_file(&path).unwrap(), (sha256, 3));
    assert_eq!(store.read(&sha256).unwrap().unwrap(), b"abc");
    assert_eq!(store.check(&Sha256::of(b"")).unwrap(), Condition::Absent);
    assert_eq!(store.objects().unwrap(), [sha256]);
    drop(store);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "the session's folder goes with it");
}

#[test]
fn bytes_that_break_their_promise_are_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let good = Expect { sha256: Sha256::of(b"abc"), size: 3 };
    for (bytes, problem) in [
        (&b"ab"[..], "ended after 2 of 3 bytes"),
        (b"abcd", "longer than the promised 3 bytes"),
        (b"abx", "instead of ba7816bf"),
        (b"", "ended after 0 of 3 bytes"),
    ] {
        let error = store.publish_stream(bytes, "a file", &good).unwrap_err().to_string();
        assert!(error.starts_with("a file: ") && error.contains(problem), "{error}");
        assert!(!store.contains(&good.sha256).unwrap());
    }
    store.publish_stream(&b"abc"[..], "a file", &good).unwrap();
    assert!(store.contains(&good.sha256).unwrap());
}

#[test]
fn a_name_that_is_no_file_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let sha256 = Sha256::of(b"abc");
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, b"abc").unwrap();
    for what in ["folder", "link"] {
        let path = store.object(&sha256);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match what {
            "folder" => fs::create_dir_all(path.join("x")).unwrap(),
            _ => std::os::unix::fs::symlink(&elsewhere, &path).unwrap(),
        }
        assert_eq!(store.check(&sha256).unwrap(), Condition::Damaged, "{what}");
        assert_eq!(store.check(&sha256).unwrap(), Condition::Absent, "{what}");
        store.publish_bytes(b"abc").unwrap();
        assert_eq!(store.check(&sha256).unwrap(), Condition::Good, "{what}");
        remove_tree(&path).unwrap();
    }
    assert_eq!(fs::read(&elsewhere).unwrap(), b"abc", "what a link points to is left alone");
}

#[test]
fn an_intact_object_whose_time_moved_is_hashed_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let sha256 = store.publish_bytes(b"abc").unwrap();
    let path = store.object(&sha256);
    let stamp = path.metadata().unwrap().modified().unwrap();
    fs::File::open(&path).unwrap().set_times(fs::FileTimes::new().set_modified(std::time::SystemTime::now())).unwrap();
    assert_eq!(store.check(&sha256).unwrap(), Condition::Good);
    assert_eq!(path.metadata().unwrap().modified().unwrap(), stamp);
}

#[test]
fn two_builders() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    let guard = one.try_lock_exclusive().unwrap();
    let error = two.try_lock_exclusive().unwrap_err();
    assert!(matches!(&error, InputsError::Busy { holder, .. } if holder.pid == Some(std::process::id())), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");

    let (tell, told) = channel();
    let waiter = thread::spawn(move || {
        let guard = two.lock_exclusive(&|holder| tell.send(holder.pid).unwrap()).unwrap();
        drop(guard);
    });
    assert_eq!(told.recv().unwrap(), Some(std::process::id()), "the waiting one says for whom it waits");
    drop(guard);
    waiter.join().unwrap();
    assert!(one.try_lock_exclusive().is_ok());
}

#[test]
fn scratch_folders_of_the_living_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
    let scratch = one.scratch().unwrap();
    fs::write(scratch.path().join("unfinished"), b"x").unwrap();
    two.sweep().unwrap();
    assert!(scratch.path().join("unfinished").exists());
    let path = scratch.path().to_path_buf();
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn finished_folders_move_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let target = store.root_dir(&Sha256::of(b"root"));
    for (content, moved) in [("first", true), ("second", false)] {
        let scratch = store.scratch().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), content).unwrap();
        assert_eq!(scratch.persist(&tree, &target).unwrap(), moved);
        assert_eq!(fs::read(target.join("file")).unwrap(), b"first");
    }
}

#[test]
fn trees_without_write_permission_are_removed() {
    if rustix::process::geteuid().is_root() {
        return println!("SKIPPED trees_without_write_permission_are_removed: root may write everywhere");
    }
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), b"x").unwrap();
    for folder in ["a/b", "a", ""] {
        fs::set_permissions(tree.join(folder), fs::Permissions::from_mode(0o500)).unwrap();
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    remove_tree(&tree).unwrap();
}

/// Not a test by itself: what `killed_at_any_moment` kills.
#[test]
#[ignore = "runs as a child process of killed_at_any_moment"]
fn child_that_writes_until_killed() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = Store::open(&dir).unwrap();
    let _guard = store.try_lock_exclusive().unwrap();
    let _scratch = store.scratch().unwrap();
    println!("READY");
    std::io::stdout().flush().unwrap();
    for number in 0u64.. {
        let content = content(number);
        let scratch = store.scratch().unwrap();
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for name in ["a", "b", "c"] {
            fs::write(tree.join(name), &content[..100]).unwrap();
        }
        store.publish_bytes(&content).unwrap();
        scratch.persist(&tree, &store.root_dir(&Sha256::of(&content))).unwrap();
    }
}

/// Sizes from a few blocks to some hundred KiB, so that kills fall into writing, syncing and renaming.
fn content(number: u64) -> Vec<u8> {
    let length = 200 + (number % 7) * 60_000;
    (0..length).map(|at| (at.wrapping_mul(31).wrapping_add(number) % 251) as u8).collect()
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut milliseconds = 1;
    for kill in 0..KILLS {
        let mut child = child("child_that_writes_until_killed").env(FOLDER, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("READY")), "the child did not start");
        // A fixed sequence without a pattern; what it meets in the child differs from run to run, and any of it must hold.
        milliseconds = milliseconds * 37 % 101;
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        check_after_kill(dir.path(), kill);
    }
    let objects = Store::open(dir.path()).unwrap().objects().unwrap();
    assert!(!objects.is_empty(), "the children published nothing, so nothing was tested");
}

fn check_after_kill(dir: &Path, kill: u64) {
    let tmp = dir.join("tmp");
    assert!(fs::read_dir(&tmp).unwrap().count() >= 2, "kill {kill}: the child had a session");
    let store = Store::open(dir).unwrap();
    for fan in fs::read_dir(dir.join("objects")).unwrap() {
        for object in fs::read_dir(fan.unwrap().path()).unwrap() {
            let object = object.unwrap();
            let sha256 = Sha256::of(&fs::read(object.path()).unwrap());
            assert_eq!(object.file_name().to_str().unwrap(), sha256.to_string(), "kill {kill}: trusted wrongly");
        }
    }
    for root in fs::read_dir(store.roots_dir()).unwrap() {
        let root = root.unwrap().path();
        for name in ["a", "b", "c"] {
            assert_eq!(root.join(name).metadata().unwrap().len(), 100, "kill {kill}: a tree that isn't whole");
        }
    }
    let _guard = store.try_lock_exclusive().unwrap();
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "kill {kill}: not swept");
    assert_eq!(store.verify_all().unwrap().1, [], "kill {kill}");
}

/// Not a test by itself: runs on a file system of 512 KiB.
#[test]
#[ignore = "runs as a child process of full_disk"]
fn child_on_a_small_disk() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let store = Store::open(&dir).unwrap();
    let large = vec![7; 1 << 20];
    let error = store.publish_bytes(&large).unwrap_err();
    assert!(matches!(error, InputsError::Full { .. }), "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    let error =
        store.publish_stream(large.as_slice(), "large", &Expect { sha256: Sha256::of(&large), size: 1 << 20 }).unwrap_err();
    assert!(matches!(error, InputsError::Full { .. }), "{error}");
    assert_eq!(store.objects().unwrap(), []);
    let fits = vec![7; 300 << 10];
    let sha256 = store.publish_bytes(&fits).unwrap();
    assert!(store.verify(&sha256).unwrap(), "what did not fit was removed, so this fits");
    println!("SMALL DISK DONE");
}

#[test]
fn full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=512k none \"$1\" || exit 77; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_on_a_small_disk", "--ignored", "--nocapture"])
        .env(FOLDER, dir.path())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return println!("SKIPPED full_disk: no program `unshare`: {error}"),
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !out.contains("running 1 test") {
        return println!("SKIPPED full_disk: no user namespace with a tmpfs: {}", err.trim());
    }
    assert!(out.contains("SMALL DISK DONE") && output.status.success(), "{out}\n{err}");
}

fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

#[test]
fn reading_failures_are_not_a_full_disk() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let error = store.publish_stream(Broken, "a pipe", &Expect { sha256: Sha256::of(b""), size: 0 }).unwrap_err();
    assert!(matches!(error, InputsError::Io { doing: "receiving", .. }), "{error}");
}
