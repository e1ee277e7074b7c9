//! `sealstone pack`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealstone_pipeline::packs::models::spec_lines;
use sealstone_pipeline::packs::source::Source;
use sealstone_pipeline::packs::write::{Counter, Order, Pack, work};
use sealstone_pipeline::packs::{check, place};
use sealstone_pipeline::progress::{Event, Reporter};
use sealstone_spec::{LockedPack, ModelName, PackPath, Sha256};
use serde::Serialize;

use crate::args::PackArgs;
use crate::exit::{DONE, Failure, Outcome};
use crate::progress::size;

pub(crate) fn run(args: &PackArgs, reporter: &dyn Reporter) -> Outcome {
    match (&args.check, &args.name, &args.out) {
        (Some(file), ..) => verify(file, args, reporter),
        (None, Some(name), Some(out)) => make(args, name, out, reporter),
        _ => Err(Failure::new(crate::exit::USAGE, anyhow::anyhow!("--name and --out are needed to make a pack"))),
    }
}

fn make(args: &PackArgs, name: &ModelName, out: &Path, reporter: &dyn Reporter) -> Outcome {
    let source = Source::gather(&args.model)?;
    let main = main_file(args, &source)?;
    let what = format!("packing {name}");
    let made = watched(&what, work(&source), reporter, |watch| {
        place::pack(&source, &Order { name, epoch: args.epoch, whole: false, watch }, out)
    })?;
    let report = Report::of(args, name, out, main.as_ref(), &made);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
    } else {
        println!("{}  {}  {}", report.root, size(made.bytes), out.display());
        println!("name {name}\nsize {}\nsalt {}\nroot {}\n", made.size, made.salt, made.root);
        println!(
            "# for `models:` in the spec; the path is relative to it, or to `build --models DIR`\n{}",
            report.spec.trim_end()
        );
    }
    Ok(DONE)
}

/// The file that the engine opens, which the spec has to name for a folder.
fn main_file(args: &PackArgs, source: &Source) -> Result<Option<PackPath>, Failure> {
    let Some(main) = &args.main else {
        let folder = args.model.iter().any(|given| given.is_dir());
        let first = args.model.first().and_then(|path| path.file_name()).and_then(|name| name.to_str());
        let name = if folder { source.main() } else { first };
        let bad = |e| Failure::bad_input(format!("the model's file can't be named in a spec: {e}"));
        return name.map(|name| name.parse().map_err(bad)).transpose();
    };
    match source.list().any(|(path, _)| path == main.as_str()) {
        true => Ok(Some(main.clone())),
        false => Err(Failure::bad_input(format!("--main {main}: no such file goes into the pack"))),
    }
}

fn verify(file: &Path, args: &PackArgs, reporter: &dyn Reporter) -> Outcome {
    let total = std::fs::metadata(file).map_or(0, |meta| meta.len());
    let what = format!("checking {}", file.display());
    let found = watched(&what, total, reporter, |watch| check::check(file, args.root, watch))?;
    if args.json {
        let report = serde_json::json!({
            "file": file, "root": found.root, "salt": found.salt, "size": found.size, "bytes": found.bytes, "epoch": found.epoch,
            "files": found.files.iter().map(|(path, size)| serde_json::json!({"path": path, "size": size})).collect::<Vec<_>>(),
        });
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
        return Ok(DONE);
    }
    println!("{}: every block is what the root vouches for", file.display());
    println!("size {}\nsalt {}\nroot {}", found.size, found.salt, found.root);
    for (path, bytes) in &found.files {
        println!("file {path}  {}", size(*bytes));
    }
    Ok(DONE)
}

/// Does something with bytes and shows how far it is.
fn watched<T>(
    what: &str,
    total: u64,
    reporter: &dyn Reporter,
    act: impl FnOnce(&(dyn Fn(u64) + Sync)) -> Result<T, sealstone_pipeline::packs::PackError>,
) -> Result<T, Failure> {
    let tell = |done: u64| reporter.event(Event::Packing { what: what.to_owned(), done: done.min(total), total });
    tell(0);
    let counter = Counter::new(tell);
    let done = act(&|more| counter.add(more))?;
    tell(total);
    Ok(done)
}

#[derive(Serialize)]
struct Report {
    name: ModelName,
    out: PathBuf,
    main: Option<PackPath>,
    size: u64,
    salt: Sha256,
    root: Sha256,
    /// Bytes of the whole file.
    bytes: u64,
    epoch: u64,
    files: BTreeMap<String, File>,
    /// An entry for `models:` in a spec.
    spec: String,
}

#[derive(Serialize)]
struct File {
    sha256: Sha256,
    size: u64,
}

impl Report {
    fn of(args: &PackArgs, name: &ModelName, out: &Path, main: Option<&PackPath>, made: &Pack) -> Self {
        let locked = LockedPack { root: made.root, salt: made.salt, size: made.size, epoch: args.epoch };
        let files =
            made.files.iter().map(|(path, (size, sha256))| (path.clone(), File { sha256: *sha256, size: *size })).collect();
        Report {
            name: name.clone(),
            out: out.to_path_buf(),
            main: main.cloned(),
            size: made.size,
            salt: made.salt,
            root: made.root,
            bytes: made.bytes,
            epoch: args.epoch,
            files,
            spec: format!("  - name: {name}\n{}{}", source_lines(args, main), spec_lines(&locked)),
        }
    }
}

/// The lines that say what goes into the pack, with the names alone: where they are is for the spec's author to add.
fn source_lines(args: &PackArgs, main: Option<&PackPath>) -> String {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let names: Vec<String> = args.model.iter().map(name).collect();
    let chosen = |main: Option<&PackPath>| {
        main.map_or("    main: PATH   # which file is the model\n".into(), |main| format!("    main: {main}\n"))
    };
    match (names.as_slice(), args.model.first().is_some_and(|given| given.is_dir())) {
        ([folder], true) => format!("    folder: {folder}\n{}", chosen(main)),
        ([file], false) => format!("    file: {file}\n"),
        (files, _) => format!("    files: [{}]\n{}", files.join(", "), chosen(main)),
    }
}
