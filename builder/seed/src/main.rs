//! What the flake's derivations run: Nix fetches, this program does the rest with the same code as `sealstone build`.
//!
//! A derivation starts with nothing but a shell, so that the first program has to come from elsewhere. It is this one: static, built by
//! `sealstone seed` in the pinned build root, known to the flake by its digest (nix/seed.json), and built again by the flake itself
//! to be compared (`nix flake check`).
//!
//! | command | does | output |
//! | --- | --- | --- |
//! | `root NAME` | unpacks the packages of a root | a folder whose one entry, the tree, is named by the root's digest |
//! | `stage NAME` | runs one action | [`stage::OUTCOME`] and the files it names, by digest |
//! | `image STAGE…` | puts the image together from all stages | what `sealstone build --out` writes |
//! | `program` | builds this program | `bin/sealstone-seed` |
//! | `equal A B` | compares two files | an empty file, if they are equal |
//! | `tools` | makes programs of the roots startable from a shell | see [`tools`] |
//!
//! They take their surroundings from the variables that [`nix`] lists. What `tools` makes is started as this program under other names.

mod image;
mod nix;
mod stage;
mod tools;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

/// How it is called.
const USAGE: &str = "usage: sealstone-seed root NAME | stage NAME | image STAGE… | program | equal A B | tools";

fn main() -> ExitCode {
    sealstone_sandbox::enter_if_inner();
    let done = match tools::home() {
        Some(home) => tools::run(&home),
        None => {
            let arguments: Vec<String> = std::env::args().skip(1).collect();
            run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealstone-seed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["root", name] => stage::root(name, &nix::Surroundings::read()?),
        ["stage", name] => stage::stage(name, &nix::Surroundings::read()?),
        ["image", stages @ ..] => image::image(stages, &nix::Surroundings::read()?),
        ["program"] => stage::program(&nix::Surroundings::read()?),
        ["equal", a, b] => equal(a, b),
        ["tools"] => tools::make(),
        _ => bail!(USAGE),
    }
}

fn equal(a: &str, b: &str) -> Result<()> {
    let read = |path: &str| std::fs::read(path).with_context(|| format!("reading {path}"));
    if read(a)? != read(b)? {
        bail!("{a} and {b} differ");
    }
    let out = nix::out()?;
    std::fs::write(&out, "").with_context(|| format!("writing {}", out.display()))
}
