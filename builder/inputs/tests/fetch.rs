//! Fetching against servers that answer well, badly, slowly, or with something else.

#![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use common::{Reply, Server, Watch, into_folder, mirrors, ok, settings, want};
use sealstone_inputs::{AptFile, Event, InputsError, Mirrors, Silent, Store, fetch_all};
use tempfile::TempDir;

const CONTENT: &[u8] = b"the right bytes";

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn raw(head: &str, body: &[u8]) -> Reply {
    Reply::Raw([head.as_bytes(), b"\r\n\r\n", body].concat())
}

/// Nothing unfinished lies about, and every object is what its name says.
fn assert_clean(store: &Store) {
    let (_, damaged) = store.verify_all().unwrap();
    assert!(damaged.is_empty());
    for session in fs::read_dir(store.dir().join("tmp")).unwrap() {
        let session = session.unwrap().path();
        if session.is_dir() {
            assert_eq!(fs::read_dir(&session).unwrap().count(), 0, "{} is not empty", session.display());
        }
    }
}

struct Case {
    what: &'static str,
    answer: fn(&str, usize) -> Reply,
    /// How many requests the server gets before it gives the file or is passed over.
    requests: usize,
    /// What is said about it; nothing if the file came from it.
    problem: &'static str,
}

const CASES: &[Case] = &[
    Case { what: "good", answer: |_, _| ok(CONTENT), requests: 1, problem: "" },
    Case {
        what: "good without a length",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nConnection: close", CONTENT),
        requests: 1,
        problem: "",
    },
    Case {
        what: "cut short",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nContent-Length: 15", &CONTENT[..9]),
        requests: 3,
        problem: "disconnected",
    },
    Case {
        what: "cut short without a length",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nConnection: close", &CONTENT[..9]),
        requests: 3,
        problem: "ended after 9 of 15 bytes",
    },
    Case {
        what: "cut short, then good",
        answer: |_, n| if n == 0 { raw("HTTP/1.1 200 OK\r\nContent-Length: 15", &CONTENT[..9]) } else { ok(CONTENT) },
        requests: 2,
        problem: "",
    },
    Case { what: "other bytes", answer: |_, _| ok(b"the wrong bytes"), requests: 1, problem: "instead of" },
    Case { what: "fewer bytes", answer: |_, _| ok(b"error page"), requests: 1, problem: "offers 10 bytes instead of 15" },
    Case {
        what: "endless bytes",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nConnection: close", &[b'x'; 1 << 20]),
        requests: 1,
        problem: "longer than the promised 15 bytes",
    },
    Case {
        what: "huge length",
        answer: |_, _| raw("HTTP/1.1 200 OK\r\nContent-Length: 1125899906842624", CONTENT),
        requests: 1,
        problem: "offers 1125899906842624 bytes",
    },
    Case { what: "missing", answer: |_, _| Reply::Status(404, "", vec![]), requests: 1, problem: "answered 404" },
    Case { what: "forbidden", answer: |_, _| Reply::Status(403, "", CONTENT.to_vec()), requests: 1, problem: "answered 403" },
    Case { what: "no content", answer: |_, _| Reply::Status(206, "", CONTENT.to_vec()), requests: 1, problem: "answered 206" },
    Case { what: "broken", answer: |_, _| Reply::Status(500, "", vec![]), requests: 3, problem: "answered 500" },
    Case {
        what: "broken, then good",
        answer: |_, n| if n == 0 { Reply::Status(500, "", vec![]) } else { ok(CONTENT) },
        requests: 2,
        problem: "",
    },
    Case {
        what: "busy, then good",
        answer: |_, n| if n < 2 { Reply::Status(429, "Retry-After: 0\r\n", vec![]) } else { ok(CONTENT) },
        requests: 3,
        problem: "",
    },
    Case {
        what: "redirect",
        answer: |path, _| if path == "/there" { ok(CONTENT) } else { Reply::Status(302, "Location: /there\r\n", vec![]) },
        requests: 2,
        problem: "",
    },
    Case {
        what: "redirect loop",
        answer: |_, _| Reply::Status(301, "Location: /there\r\n", vec![]),
        requests: 6,
        problem: "redirects more than 5 times",
    },
    Case { what: "no HTTP", answer: |_, _| Reply::Raw(b"SSH-2.0-x\r\n".to_vec()), requests: 1, problem: "http" },
];

#[test]
fn what_a_mirror_does_and_what_comes_of_it() {
    for case in CASES {
        let (_dir, store) = store();
        let folder = tempfile::tempdir().unwrap();
        into_folder(folder.path(), CONTENT);
        let server = Server::start(case.answer);
        let list = mirrors(&format!("{},{}", server.url, folder.path().display()));
        let wanted = want("a", CONTENT);
        let report = fetch_all(&store, &list, std::slice::from_ref(&wanted), 4, &Silent).unwrap();

        let from = if case.problem.is_empty() { server.url.clone() } else { folder.path().display().to_string() };
        assert_eq!(report.from.into_iter().collect::<Vec<_>>(), [(from, 1)], "{}", case.what);
        assert_eq!(server.seen().len(), case.requests, "{}: {:?}", case.what, server.seen());
        assert_eq!(store.read(&wanted.sha256).unwrap().unwrap(), CONTENT, "{}", case.what);
        assert_clean(&store);

        // The same mirror alone: the error says what it did.
        let (_dir, store) = self::store();
        let server = Server::start(case.answer);
        let alone = fetch_all(&store, &mirrors(&server.url), std::slice::from_ref(&wanted), 4, &Silent);
        let message = alone.err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(message.is_empty(), case.problem.is_empty(), "{}: {message}", case.what);
        for part in [case.problem, "package a 1-1", "pool/main/a.deb", &server.url, "SEALSTONE_MIRROR", "sealstone lock --update"]
        {
            assert!(case.problem.is_empty() || message.contains(part), "{}: no {part:?} in {message}", case.what);
        }
        assert_clean(&store);
    }
}

#[test]
fn a_silent_mirror_is_given_up() {
    let (_dir, store) = store();
    let folder = tempfile::tempdir().unwrap();
    into_folder(folder.path(), CONTENT);
    let server = Server::start(|_, _| Reply::Stall(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\nthe ri".to_vec()));
    let mut settings = settings(&format!("{},{}", server.url, folder.path().display()));
    settings.network.patience.silence = Duration::from_millis(200);
    let watch = Watch::default();
    let report = fetch_all(&store, &Mirrors::new(&settings).unwrap(), &[want("a", CONTENT)], 1, &watch).unwrap();
    assert_eq!(report.refused.len(), 1);
    assert!(report.refused[0].2.contains("timeout"), "{:?}", report.refused);
    assert_eq!(watch.count(|event| matches!(event, Event::Retry { .. })), 2);
    assert_eq!(server.seen().len(), 3);
    assert_clean(&store);
}

#[test]
fn mirrors_are_asked_in_order() {
    let (_dir, store) = store();
    let answer = |has: &'static str| {
        move |path: &str, _| if path.ends_with(has) { ok(has.as_bytes()) } else { Reply::Status(404, "", vec![]) }
    };
    let (first, host, archive) = (Server::start(answer("a.deb")), Server::start(answer("b.deb")), Server::start(answer("c.deb")));
    let mut settings = settings(&first.url);
    settings.apt = vec![AptFile { path: "sources.list".into(), text: format!("deb {}/debian bookworm main", host.url) }];
    settings.snapshot = Some(format!("{}/archive", archive.url));
    let wants = [want("a", b"a.deb"), want("b", b"b.deb"), want("c", b"c.deb")];
    let report = fetch_all(&store, &Mirrors::new(&settings).unwrap(), &wants, 1, &Silent).unwrap();
    assert_eq!(report.from.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
    let sorted = |server: &Server| {
        let mut seen = server.seen();
        seen.sort();
        seen
    };
    assert_eq!(sorted(&first), ["/pool/main/a.deb", "/pool/main/b.deb", "/pool/main/c.deb"]);
    assert_eq!(sorted(&host), ["/debian/pool/main/b.deb", "/debian/pool/main/c.deb"]);
    assert_eq!(sorted(&archive), ["/archive/debian/20260712T000000Z/pool/main/c.deb"]);
}

#[test]
fn a_full_store_asks_nobody() {
    let (_dir, store) = store();
    let server = Server::start(|_, _| ok(CONTENT));
    store.publish_bytes(CONTENT).unwrap();
    let report = fetch_all(&store, &mirrors(&server.url), &[want("a", CONTENT), want("b", CONTENT)], 2, &Silent).unwrap();
    assert_eq!((report.present, report.fetched, server.seen().len()), (1, 0, 0));
}

#[test]
fn a_file_wanted_twice_is_fetched_once() {
    let (_dir, store) = store();
    let server = Server::start(|_, _| ok(CONTENT));
    let report = fetch_all(&store, &mirrors(&server.url), &[want("a", CONTENT), want("b", CONTENT)], 2, &Silent).unwrap();
    assert_eq!((report.fetched, report.bytes, server.seen().len()), (1, 15, 1));
}

#[test]
fn a_mirror_that_keeps_failing_is_asked_last() {
    let (_dir, store) = store();
    let bad = Server::start(|_, _| ok(b"x"));
    let good = Server::start(|path, _| ok(path.as_bytes()));
    let wants: Vec<_> = (0..8).map(|n| want(&n.to_string(), format!("/pool/main/{n}.deb").as_bytes())).collect();
    let watch = Watch::default();
    let report = fetch_all(&store, &mirrors(&format!("{},{}", bad.url, good.url)), &wants, 1, &watch).unwrap();
    assert_eq!((bad.seen().len(), good.seen().len(), report.fetched), (3, 8, 8));
    assert_eq!(watch.count(|event| *event == Event::Demoted { mirror: bad.url.clone() }), 1);
}

#[test]
fn being_without_network_is_told_quickly() {
    let (_dir, store) = store();
    let server = Server::start(|_, _| Reply::Status(503, "", vec![]));
    let wants: Vec<_> = (0..8).map(|n| want(&n.to_string(), format!("{n}").as_bytes())).collect();
    assert!(fetch_all(&store, &mirrors(&server.url), &wants, 1, &Silent).is_err());
    assert_eq!(server.seen().len(), 3 * 3 + 5, "three times patiently, then once for each of the other files");
}

#[test]
fn damage_is_noticed_and_repaired() {
    for (what, silent) in [("written to", false), ("below the file system", true)] {
        let (_dir, store) = store();
        let server = Server::start(|_, _| ok(CONTENT));
        let (list, wanted) = (mirrors(&server.url), [want("a", CONTENT)]);
        fetch_all(&store, &list, &wanted, 1, &Silent).unwrap();
        damage(&store.object(&wanted[0].sha256), silent);
        if silent {
            assert!(store.contains(&wanted[0].sha256).unwrap(), "no time moved, so only hashing tells");
            assert!(!store.verify(&wanted[0].sha256).unwrap());
        }
        let watch = Watch::default();
        let report = fetch_all(&store, &list, &wanted, 1, &watch).unwrap();
        assert_eq!((report.fetched, server.seen().len()), (1, 2), "{what}");
        assert_eq!(report.repaired.len(), usize::from(!silent), "{what}");
        assert_eq!(watch.count(|event| matches!(event, Event::Damaged { .. })), usize::from(!silent), "{what}");
        assert_eq!(store.read(&wanted[0].sha256).unwrap().unwrap(), CONTENT, "{what}");
    }
}

fn damage(path: &Path, silent: bool) {
    let before = path.metadata().unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, b"damaged, alas!!").unwrap();
    if silent {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(before.modified().unwrap())).unwrap();
    }
}

#[test]
fn a_lock_that_contradicts_itself() {
    let (_dir, store) = store();
    let folder = tempfile::tempdir().unwrap();
    into_folder(folder.path(), CONTENT);
    let list = mirrors(&folder.path().display().to_string());
    let mut wanted = want("a", CONTENT);
    wanted.size = 14;
    let error = fetch_all(&store, &list, std::slice::from_ref(&wanted), 1, &Silent).unwrap_err();
    assert!(matches!(&error, InputsError::Unavailable(failures) if failures.len() == 1), "{error}");
    store.publish_bytes(CONTENT).unwrap();
    let error = fetch_all(&store, &list, &[wanted], 1, &Silent).unwrap_err();
    assert!(matches!(error, InputsError::LockedSize { locked: 14, actual: 15, .. }), "{error}");
}

#[test]
fn one_file_that_nobody_has_keeps_the_others() {
    let (_dir, store) = store();
    let folder = tempfile::tempdir().unwrap();
    into_folder(folder.path(), b"one");
    into_folder(folder.path(), b"three");
    let wants = [want("one", b"one"), want("two", b"two"), want("three", b"three")];
    let error = fetch_all(&store, &mirrors(&folder.path().display().to_string()), &wants, 2, &Silent).unwrap_err().to_string();
    assert!(error.contains("package two 1-1") && !error.contains("package one"), "{error}");
    assert!(store.contains(&wants[0].sha256).unwrap() && store.contains(&wants[2].sha256).unwrap());
}

#[test]
fn proxies_are_used_as_told() {
    let (_dir, store) = store();
    let proxy = Server::start(|_, _| ok(CONTENT));
    let mut settings = settings("http://mirror.invalid/debian");
    settings.network.http_proxy = Some(proxy.url.clone());
    fetch_all(&store, &Mirrors::new(&settings).unwrap(), &[want("a", CONTENT)], 1, &Silent).unwrap();
    assert_eq!(proxy.seen(), ["CONNECT mirror.invalid:80", "/debian/pool/main/a.deb"]);

    let (_dir, store) = self::store();
    let direct = Server::start(|_, _| ok(CONTENT));
    settings.mirror = Some(direct.url.clone());
    settings.network.no_proxy = Some("127.0.0.1".into());
    fetch_all(&store, &Mirrors::new(&settings).unwrap(), &[want("a", CONTENT)], 1, &Silent).unwrap();
    assert_eq!((direct.seen().len(), proxy.seen().len()), (1, 2));
}

#[test]
fn events_are_one_json_object_each() {
    let (_dir, store) = store();
    let server = Server::start(|_, n| if n == 0 { Reply::Status(503, "", vec![]) } else { ok(CONTENT) });
    let watch = Watch::default();
    fetch_all(&store, &mirrors(&server.url), &[want("a", CONTENT)], 1, &watch).unwrap();
    let lines: Vec<String> = watch.events().iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    let (sha256, url) = (sealstone_spec::Sha256::of(CONTENT), &server.url);
    assert_eq!(
        lines,
        [
            r#"{"fetch":"plan","files":1,"bytes":15,"present":0}"#.to_owned(),
            format!(r#"{{"fetch":"start","sha256":"{sha256}","what":"package a 1-1","size":15}}"#),
            format!(
                r#"{{"fetch":"retry","sha256":"{sha256}","mirror":"{url}","problem":"answered 503 Service Unavailable","pause_ms":0}}"#
            ),
            format!(r#"{{"fetch":"bytes","sha256":"{sha256}","done":15}}"#),
            format!(r#"{{"fetch":"done","sha256":"{sha256}","what":"package a 1-1","mirror":"{url}"}}"#),
        ]
    );
}

#[test]
fn indexes_come_from_the_first_acceptable_answer() {
    let archive = want("a", b"").archive.unwrap();
    let stale = Server::start(|_, _| ok(b"stale"));
    let long = Server::start(|_, _| raw("HTTP/1.1 200 OK\r\nConnection: close", &[b'x'; 1000]));
    let fresh = Server::start(|_, _| ok(b"fresh"));
    let mut accept = |bytes: &[u8]| if bytes == b"fresh" { Ok(()) } else { Err("expired".to_owned()) };
    let path = "dists/bookworm/InRelease";
    let list = mirrors(&format!("{},{},{}", stale.url, long.url, fresh.url));
    assert_eq!(list.index(archive, path, 100, &mut accept).unwrap(), b"fresh");
    assert_eq!(fresh.seen(), ["/dists/bookworm/InRelease"]);
    let error = mirrors(&format!("{},{}", stale.url, long.url)).index(archive, path, 100, &mut accept).unwrap_err().to_string();
    for part in [path, &stale.url, "expired", &long.url, "longer than the 100 bytes"] {
        assert!(error.contains(part), "no {part:?} in {error}");
    }
}
