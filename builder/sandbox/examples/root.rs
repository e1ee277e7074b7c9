//! Tries the sandbox by hand, and times the unpacking:
//! ```text
//! cargo run --release -p sealstone-sandbox --example root -- unpack DEST PACKAGE.deb... [LINK=TARGET...]
//! cargo run --release -p sealstone-sandbox --example root -- run ROOT OUT [clock=SECONDS] [monotonic] [uid=N] [in-memory] [host-network] PROGRAM ARGUMENT...
//! cargo run --release -p sealstone-sandbox --example root -- probe
//! ```
#![allow(clippy::disallowed_methods, reason = "a tool for people, not part of a build")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sealstone_sandbox::{Invocation, Network, PackageFile, RootPlan, Stdio, Variation, Work};
use sealstone_spec::Sha256;

fn main() -> std::process::ExitCode {
    sealstone_sandbox::enter_if_inner();
    match act() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn act() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["unpack", dest, rest @ ..] => unpack(Path::new(dest), rest),
        ["run", root, out, rest @ ..] => run(root, out, rest),
        ["probe"] => Ok(sealstone_sandbox::probe()?),
        _ => Err("see the top of this file".into()),
    }
}

fn unpack(dest: &Path, rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let (mut packages, mut links) = (Vec::new(), BTreeMap::new());
    for argument in rest {
        if let Some((link, target)) = argument.split_once('=') {
            links.insert(link.to_owned(), target.to_owned());
        } else {
            let name = Path::new(argument).file_name().unwrap_or_default().to_string_lossy().into_owned();
            packages.push(PackageFile { name, sha256: Sha256::of(&std::fs::read(argument)?), path: PathBuf::from(argument) });
        }
    }
    let plan = RootPlan { name: "example".into(), packages, links };
    std::fs::create_dir(dest)?;
    let started = Instant::now();
    plan.unpack(dest, &|_, _| {})?;
    println!("{} packages in {:.1} s, digest {}", plan.packages.len(), started.elapsed().as_secs_f64(), plan.digest());
    Ok(())
}

fn run(root: &str, out: &str, rest: &[&str]) -> Result<(), Box<dyn Error>> {
    let work = tempfile::tempdir()?;
    let env =
        [("PATH", "/usr/bin:/usr/sbin"), ("HOME", "/build"), ("LC_ALL", "C"), ("TZ", "UTC"), ("SOURCE_DATE_EPOCH", "1783296000")];
    let mut invocation = Invocation {
        root: root.into(),
        work: Work::Dir(work.path().into()),
        mounts: Vec::new(),
        out: out.into(),
        argv: Vec::new(),
        env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        network: Network::None,
        stdio: Stdio::Inherit,
        variation: Variation::default(),
        devices: Vec::new(),
    };
    for argument in rest {
        match argument.split_once('=') {
            _ if !invocation.argv.is_empty() => invocation.argv.push((*argument).into()),
            Some(("clock", seconds)) => invocation.variation.clock = Some(seconds.parse()?),
            _ if *argument == "monotonic" => invocation.variation.shift_monotonic = true,
            Some(("uid", uid)) => invocation.variation.uid = uid.parse()?,
            _ if *argument == "in-memory" => invocation.work = Work::Tmpfs,
            _ if *argument == "host-network" => invocation.network = Network::Host,
            _ => invocation.argv.push((*argument).into()),
        }
    }
    Ok(sealstone_sandbox::run(&invocation)?)
}
