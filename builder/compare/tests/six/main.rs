//! Six changes, each made the way a person would make it, and what a comparison says of them.
//!
//! The goldens are what `sealstone diff` prints of causes and places; `SEALSTONE_BLESS=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod sample;

use std::collections::BTreeSet;
use std::fmt::Write;

use sample::Recipe;
use sealstone_compare::{Report, Side, compare};

fn report(b: &Recipe) -> Report {
    compare(&Side::of(Recipe::default().files()).unwrap(), &Side::of(b.files()).unwrap())
}

/// Sentences, origins and the places of files that follow from no other.
fn text(report: &Report) -> String {
    let mut out = report.sentences.join("\n") + "\n";
    for step in &report.steps {
        let why =
            if step.is_origin() { "whose inputs are equal".into() } else { format!("for another {}", step.inputs.join(", ")) };
        let place = step.places.first().map_or("not at hand", |place| &place.place);
        let _ = writeln!(out, "{} of stage {}, {why}: {place}", step.output, step.stage);
    }
    for artefact in report.artefacts.iter().filter(|artefact| !artefact.document) {
        let _ = writeln!(out, "{}", artefact.name);
        for place in &artefact.places {
            let show = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".into());
            let _ = writeln!(out, "  {}: {} → {}", place.place, show(&place.before), show(&place.after));
        }
    }
    out
}

#[track_caller]
fn golden(name: &str, b: &Recipe) -> Report {
    let report = report(b);
    let found = text(&report);
    let path = format!("{}/tests/goldens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("SEALSTONE_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(found, std::fs::read_to_string(&path).unwrap(), "{path}");
    report
}

fn moved(report: &Report) -> BTreeSet<&str> {
    report.registers.moved.iter().map(|moved| moved.register.as_str()).collect()
}

/// The stage, file and place that `reproduce` would name as the cause.
fn origin(report: &Report) -> Option<(&str, &str, &str)> {
    let origin = report.origins().next()?;
    Some((&origin.stage, &origin.output, &origin.places.first()?.place))
}

#[test]
fn nothing() {
    let report = report(&Recipe::default());
    assert!(report.equal && report.artefacts.is_empty() && report.steps.is_empty());
    assert_eq!(report.sentences, ["Both are the same."]);
}

#[test]
fn kernel_version() {
    let report = golden("kernel-version", &Recipe { kernel_version: "6.12.108", ..Recipe::default() });
    let sentence =
        "Kernel 6.12.107 → 6.12.108 changes vmlinuz, hence every SNP digest, RTMR1, PCR 4 and PCR 11; nothing else moved.";
    assert_eq!(report.sentences, [sentence]);
}

#[test]
fn kernel_option() {
    let report = golden("kernel-option", &Recipe { kernel_option: "n", ..Recipe::default() });
    assert_eq!(moved(&report), BTreeSet::from(["launch", "rtmr1", "pcr4", "pcr11"]));
    let kernel = report.artefacts.iter().find(|artefact| artefact.name == "vmlinuz").unwrap();
    assert!(kernel.places[0].place.contains("vmlinux: ELF section .text") && kernel.places[0].place.contains("in loops"));
    assert_eq!(origin(&report), None, "an input differs: no step is to blame");
}

#[test]
fn init_source() {
    let report = golden("init-source", &Recipe { init_source: "fn main() { loop {} }", ..Recipe::default() });
    assert!(report.sentences[0].starts_with("image/init/src/main.rs changes initrd"));
    assert!(moved(&report).contains("rtmr2") && !moved(&report).contains("rtmr1"));
}

/// An action that gives other bytes for the same inputs is named itself, and not what is made of its output.
#[test]
fn defect_of_an_action() {
    let report = golden("defect", &Recipe { noise: "clock", ..Recipe::default() });
    assert_eq!(origin(&report), Some(("userland", "init", "cpio entry `init`, from byte 0x18")));
    assert_eq!(report.origins().count(), 1);
}

#[test]
fn file_mode() {
    let report = golden("file-mode", &Recipe { daemon_mode: 0o744, ..Recipe::default() });
    assert_eq!(origin(&report), Some(("assembly", "initrd", "cpio entry `daemon`, header field mode")));
}

#[test]
fn cmdline() {
    let report = golden("cmdline", &Recipe { cmdline: "console=ttyS0 loglevel=7", ..Recipe::default() });
    assert!(report.sentences[0].starts_with("The command line (loglevel=0 → loglevel=7) changes cmdline"));
    assert!(moved(&report).contains("rtmr2") && !moved(&report).contains("rtmr1"));
}

#[test]
fn verity_salt() {
    let report = golden("verity-salt", &Recipe { salt: 8, ..Recipe::default() });
    assert_eq!(origin(&report), Some(("packs", "packs/small", "verity superblock, field salt")));
}

#[test]
fn fat_volume_id() {
    let report = golden("fat-volume-id", &Recipe { volume_id: 0x1234_abce, ..Recipe::default() });
    assert_eq!(origin(&report), Some(("assembly", "disk.raw", "GPT partition `ESP`: FAT volume id")));
    assert!(report.registers.moved.is_empty(), "no register shows a volume's id");
}

/// With the pins alone there is less to say, and nothing wrong.
#[test]
fn of_pins_alone() {
    let pin = |recipe: &Recipe| Side::of(recipe.files().into_iter().filter(|(name, _)| name == "pin.json").collect()).unwrap();
    let other = Recipe { cmdline: "console=ttyS0 loglevel=7", ..Recipe::default() };
    let report = compare(&pin(&Recipe::default()), &pin(&other));
    assert!(
        report.sentences[0].starts_with("The command line (loglevel=0 → loglevel=7) changes cmdline"),
        "{:?}",
        report.sentences
    );
    let kernel = Recipe { kernel_version: "6.12.108", ..Recipe::default() };
    let report = compare(&pin(&Recipe::default()), &pin(&kernel));
    let sentence =
        "Something that is not at hand changes vmlinuz, hence every SNP digest, RTMR1, PCR 4 and PCR 11; nothing else moved.";
    assert_eq!(report.sentences, [sentence]);
    assert!(!report.equal);
}

/// Whatever byte of whatever file differs, some place is named.
#[test]
fn every_byte_has_a_place() {
    let files = Recipe::default().files();
    for (name, bytes) in files.iter().filter(|(name, _)| *name != "disk.raw" && *name != "System.map") {
        for at in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(!sealstone_compare::places::places(bytes, &bad, [None, None]).is_empty(), "{name} byte {at}");
        }
        assert!(!sealstone_compare::places::places(bytes, &bytes[..bytes.len() - 1], [None, None]).is_empty(), "{name}");
        assert!(!sealstone_compare::places::places(&bytes[..1], bytes, [None, None]).is_empty(), "{name}");
    }
}

/// What was released is what was built, without the packs and with a time in the pin.
#[test]
fn a_release_and_its_build() {
    let built = Recipe::default().files();
    let mut released = built.clone();
    released.retain(|name, _| !name.starts_with("packs/"));
    assert_eq!(
        compare(&Side::of(built.clone()).unwrap(), &Side::of(released.clone()).unwrap()).sentences,
        ["Both are the same."]
    );
    let mut pin: serde_json::Value = serde_json::from_slice(&released["pin.json"]).unwrap();
    pin["validity"] = serde_json::json!({"not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z"});
    released.insert("pin.json".into(), sealstone_release::pin::Pin::parse(&pin.to_string()).unwrap().to_text().into_bytes());
    let report = compare(&Side::of(released.clone()).unwrap(), &Side::of(built).unwrap());
    let [only] = report.sentences.as_slice() else { panic!("{:?}", report.sentences) };
    assert!(only.starts_with("The image is the same; the pins differ"), "{only}");
    assert!(!report.equal && report.registers.moved.is_empty());
    // Another model isn't hidden by that: its root stands in the pin.
    let other = Recipe { salt: 8, ..Recipe::default() }.files();
    assert!(!compare(&Side::of(released).unwrap(), &Side::of(other).unwrap()).registers.moved.is_empty());
}
