//! `sealstone diff`

use std::fs;
use std::path::Path;

use sealstone_compare::report::{Artefact, Report};
use sealstone_compare::side::{Files, Side};
use sealstone_pipeline::folder;

use super::measure::{emit, print_json};
use crate::args::DiffArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::html;

/// Files of a release folder that say something about an image, besides the image itself.
const KNOWN: &[&str] = &[
    "pin.json",
    "provenance.json",
    "sbom.cdx.json",
    "source.tar",
    "kernel.config",
    "config.json",
    "cmdline",
    "vmlinuz",
    "initrd",
    "uki.efi",
    "disk.raw",
    "firmware/OVMF.amdsev.fd",
    "firmware/OVMF.inteltdx.fd",
];

pub(crate) fn run(args: &DiffArgs) -> Outcome {
    let (a, b) = (side(&args.a)?, side(&args.b)?);
    let report = sealstone_compare::compare(&a, &b);
    if let Some(file) = &args.html {
        let page = html::diff::page(&report, &args.a.display().to_string(), &args.b.display().to_string());
        fs::write(file, page).map_err(|e| Failure::failed(format!("writing {}: {e}", file.display())))?;
        return Ok(DONE);
    }
    if args.json {
        print_json(&serde_json::to_value(&report).map_err(Failure::failed)?)?;
        return Ok(DONE);
    }
    print(&report)?;
    Ok(DONE)
}

/// What stands at `path`: a pin, an output folder, or a release folder.
pub(crate) fn side(path: &Path) -> Result<Side, Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::bad_input(format!("{}: {e}", path.display()));
    let files = if !path.is_dir() {
        let bytes = fs::read(path).map_err(|e| refuse(&format!("cannot be read: {e}")))?;
        Files::from([(sealstone_compare::side::PIN.to_owned(), bytes)])
    } else if path.join(folder::SUMS).is_file() {
        with_packs(path, folder::read(path)?)?
    } else {
        some(path)?
    };
    Side::of(files).map_err(|e| refuse(&e))
}

/// Longer packs are told apart by their roots in the configuration alone.
const SMALL_PACK: u64 = 64 << 20;

/// The files of a folder that a build made, with those of its packs that aren't too long.
pub(crate) fn with_packs(dir: &Path, mut files: Files) -> Result<Files, Failure> {
    for pack in folder::packs(dir)? {
        let name = pack.file_name().unwrap_or_default().to_string_lossy();
        files.extend(small_pack(&pack)?.map(|bytes| (format!("{}{name}", folder::PACKS), bytes)));
    }
    Ok(files)
}

/// A pack, unless it is too long.
pub(crate) fn small_pack(pack: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |e: std::io::Error| Failure::failed(format!("reading {}: {e}", pack.display()));
    let small = fs::metadata(pack).map_err(failed)?.len() <= SMALL_PACK;
    small.then(|| fs::read(pack).map_err(failed)).transpose()
}

/// The files of a folder that no build wrote as a whole, as far as they are there.
pub(crate) fn some(dir: &Path) -> Result<Files, Failure> {
    let mut files = Files::new();
    for name in KNOWN {
        let path = dir.join(name);
        if path.is_file() {
            let bytes = fs::read(&path).map_err(|e| Failure::failed(format!("reading {}: {e}", path.display())))?;
            files.insert((*name).to_owned(), bytes);
        }
    }
    Ok(files)
}

fn print(report: &Report) -> Result<(), Failure> {
    for sentence in &report.sentences {
        emit(sentence)?;
    }
    if !report.inputs.is_empty() {
        emit("\ninputs")?;
    }
    for change in &report.inputs {
        let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".into());
        emit(format_args!("  {}: {} → {}", change.name, value(&change.before), value(&change.after)))?;
    }
    let files: Vec<&Artefact> = report.artefacts.iter().filter(|artefact| !artefact.document).collect();
    if !files.is_empty() {
        emit("\nfiles")?;
    }
    for artefact in files {
        let because: Vec<&str> = artefact.because.iter().map(String::as_str).collect();
        match because.is_empty() {
            true => emit(format_args!("  {}", artefact.name))?,
            false => emit(format_args!("  {}, which holds {}", artefact.name, because.join(", ")))?,
        }
        places(artefact)?;
    }
    let documents: Vec<&str> = report.artefacts.iter().filter(|a| a.document).map(|a| a.name.as_str()).collect();
    if !documents.is_empty() {
        emit(format_args!("\ndocuments\n  {}", documents.join(", ")))?;
    }
    if !report.registers.moved.is_empty() {
        emit("\nregisters")?;
    }
    for moved in &report.registers.moved {
        let through: Vec<&str> = moved.through.iter().map(String::as_str).collect();
        emit(format_args!("  {} {}, through {}", moved.profile, moved.register, through.join(", ")))?;
    }
    Ok(())
}

fn places(artefact: &Artefact) -> Result<(), Failure> {
    for place in &artefact.places {
        let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".into());
        match (&place.before, &place.after) {
            (None, None) => emit(format_args!("    {}", place.place))?,
            (before, after) => emit(format_args!("    {}: {} → {}", place.place, value(before), value(after)))?,
        }
    }
    Ok(())
}
