//! The reporter's thread under the image's confinement, with a folder of pipes that behaves as the kernel's report entry.
//!
//! Has a main of its own, because the test harness's threads would make calls that the confinement kills. The kernel's part is played by
//! another process, which is this program again: the confined one could not open the other ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use sealstone_channel::binding::HandshakeHash;
use sealstone_config::MeasuredConfig;
use sealstone_daemon::confine::{self, ConfineError, Opens};
use sealstone_daemon::evidence::document::{Challenge, Nonce};
use sealstone_daemon::evidence::reports::Reporter;
use sealstone_daemon::evidence::tsm::{Folder, Tee};

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

const REPORT: usize = 1184;
const DATA: std::ops::Range<usize> = 0x50..0x90;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--kernel") => kernel(Path::new(&arguments[2])),
        Some("--front") => return front(Path::new(&arguments[2])),
        // What a test runner asks of a harness.
        Some("--list") => {}
        _ => return both(),
    }
    ExitCode::SUCCESS
}

fn both() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("sealstone-reports-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for file in ["generation", "inblob", "outblob", "auxblob"] {
        pipe(&folder.join(file));
    }
    let program = std::env::current_exe().unwrap();
    let start = |role| Command::new(&program).arg(role).arg(&folder).stdout(Stdio::inherit()).spawn().unwrap();
    let mut kernel = start("--kernel");
    let front = start("--front").wait().unwrap();
    kernel.kill().unwrap();
    kernel.wait().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    match front.code() {
        Some(0) => println!("test reports under the confinement ... ok"),
        Some(77) => println!("SKIPPED reports under the confinement: this kernel has no landlock as new as the image's"),
        other => {
            println!("test reports under the confinement ... FAILED: {other:?}, {front}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Answers as the kernel does, for as many challenges as come: its steps are met one after the other, or nobody goes on.
fn kernel(folder: &Path) {
    let write = |file: &str, bytes: &[u8], piece: usize| {
        let path = folder.join(file);
        let mut pipe = File::options().write(true).open(&path).unwrap();
        // Whoever opens the file from here on finds a new pipe, which has no other reader.
        let next = folder.join("next");
        self::pipe(&next);
        fs::rename(&next, &path).unwrap();
        bytes.chunks(piece).for_each(|piece| pipe.write_all(piece).unwrap());
    };
    for generation in 41_u64.. {
        write("generation", format!("{generation}\n").as_bytes(), 1);
        let mut challenge = Vec::new();
        File::open(folder.join("inblob")).unwrap().read_to_end(&mut challenge).unwrap();
        assert_eq!(challenge.len(), 64);
        let after = format!("{}\n", generation + 1).into_bytes();
        write("generation", &after, 99);
        let mut report = vec![1; REPORT];
        report[DATA].copy_from_slice(&challenge);
        write("outblob", &report, 100);
        write("auxblob", &[], 1);
        write("generation", &after, 99);
    }
}

/// The order of `start::run`.
fn front(folder: &Path) -> ExitCode {
    let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let reporter = Reporter::new(Folder(folder.into()), Tee::SevSnp, &measured, b"");
    match confine::files(&[folder]) {
        Err(ConfineError::Landlock) => return ExitCode::from(77),
        other => other.unwrap(),
    }
    let reports = reporter.start().unwrap();
    confine::calls(Opens::Evidence).unwrap();
    let documents = runtime.block_on(async {
        let nonce = Challenge::Nonce(Nonce::parse(&"11".repeat(32)).unwrap());
        let channel = Challenge::Channel(HandshakeHash([9; 32]));
        // The second waits for the first.
        let second = reports.clone();
        let second = tokio::spawn(async move { second.document(channel).await.unwrap() });
        [reports.document(nonce).await.unwrap(), second.await.unwrap()]
    });
    let expected = [
        sealstone_channel::binding::nonce_report_data(&[0x11; 32], measured.sha256().as_bytes()),
        HandshakeHash([9; 32]).report_data(measured.sha256().as_bytes(), &[0; 32]),
    ];
    for (document, data) in documents.iter().zip(expected) {
        let document: serde_json::Value = serde_json::from_slice(document).unwrap();
        let mut report = vec![1; REPORT];
        report[DATA].copy_from_slice(&data);
        assert_eq!(document["report"], base64(&report));
        assert_eq!((&document["tee"], &document["certificates"]), (&"sev-snp".into(), &serde_json::json!([])));
        assert_eq!(document["config"], CONFIG);
    }
    // No other file can be opened, and to try it is an error, not the end.
    assert_eq!(File::open(other).unwrap_err().raw_os_error(), Some(libc::EACCES));
    // The end, with the thread still there.
    drop(reports);
    ExitCode::SUCCESS
}

/// RFC 4648 section 4, bit by bit: slow, and not the daemon's own.
fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let digit = |six: &[u8]| digits[(0..6).fold(0, |sum, n| sum * 2 + usize::from(six.get(n).copied().unwrap_or(0)))] as char;
    let mut text: String = bits.chunks(6).map(digit).collect();
    while text.len() % 4 != 0 {
        text.push('=');
    }
    text
}
