//! Programs of the roots, for `nix develop`: started by their names from a shell of the host, with the linker and libraries of their root.
//!
//! | in `$out` | is |
//! | --- | --- |
//! | `bin/NAME` | a link to this program, for each program asked for, and [`ROOT`] |
//! | `libexec/sealstone-seed` | this program, which knows by the folder that it stands in that it is to start another |
//! | `programs/NAME` | a link to the program in its root |
//! | `roots/NAME` | a link to the root |
//!
//! Links lead to other outputs by relative paths, so that they hold wherever the Nix store is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sealstone_pipeline::roots;

use crate::nix;

/// Runs any program of a root, isolated: `sealstone-root ROOT PROGRAM [ARGUMENT…]`; what `sealstone root ROOT -- PROGRAM` does.
const ROOT: &str = "sealstone-root";

const PROGRAMS: &str = "programs";
const ROOTS: &str = "roots";

/// Where a root has programs.
const PATH: [&str; 2] = ["usr/bin", "usr/sbin"];

/// The first bytes of a program that the dynamic linker can start; a script would be read by an interpreter of the host.
const ELF: [u8; 4] = *b"\x7fELF";

/// Makes `$out`.
pub(crate) fn make() -> Result<()> {
    let out = nix::out()?;
    let wanted: BTreeMap<String, (PathBuf, Vec<String>)> =
        serde_json::from_str(&nix::variable("tools")?).context("reading the variable tools")?;
    for folder in ["bin", "libexec", PROGRAMS, ROOTS] {
        fs::create_dir_all(out.join(folder)).with_context(|| format!("creating {}/{folder}", out.display()))?;
    }
    fs::copy("/proc/self/exe", out.join("libexec/sealstone-seed")).context("copying this program")?;
    link("../libexec/sealstone-seed", &out.join("bin").join(ROOT))?;
    for (name, (output, programs)) in &wanted {
        let tree = only_entry(output)?;
        let store = out.parent().context("$out stands in no folder")?;
        let below = tree.strip_prefix(store).with_context(|| format!("{} isn't beside $out", tree.display()))?;
        link(Path::new("../..").join(below), &out.join(ROOTS).join(name))?;
        for program in programs {
            let place = find(&tree, program).with_context(|| format!("the program {program} of the root {name}"))?;
            link(Path::new("..").join(ROOTS).join(name).join(place), &out.join(PROGRAMS).join(program))?;
            link("../libexec/sealstone-seed", &out.join("bin").join(program))?;
        }
    }
    Ok(())
}

/// What [`make`] made, if this program stands in it.
pub(crate) fn home() -> Option<PathBuf> {
    let home = std::env::current_exe().ok()?.parent()?.parent()?.to_path_buf();
    home.join(PROGRAMS).is_dir().then_some(home)
}

/// Becomes the program by whose name this one was called.
pub(crate) fn run(home: &Path) -> Result<()> {
    let mut arguments = std::env::args_os();
    let called = arguments.next().context("called without a name")?;
    let name = Path::new(&called).file_name().unwrap_or(&called);
    let arguments: Vec<OsString> = arguments.collect();
    if name == ROOT {
        return in_root(home, &arguments);
    }
    let link = home.join(PROGRAMS).join(name);
    let program = fs::canonicalize(&link).with_context(|| format!("looking for {}", link.display()))?;
    Err(sealstone_sandbox::become_program(&program, name, &arguments)).with_context(|| format!("starting {}", program.display()))
}

fn in_root(home: &Path, arguments: &[OsString]) -> Result<()> {
    let known = names(&home.join(ROOTS))?.join(", ");
    let usage = || format!("usage: {ROOT} ROOT PROGRAM [ARGUMENT…], where ROOT is one of {known}");
    let text: Option<Vec<String>> = arguments.iter().map(|argument| argument.to_str().map(str::to_owned)).collect();
    let text = text.context("an argument isn't UTF-8")?;
    let Some((root, argv)) = text.split_first().filter(|(_, argv)| !argv.is_empty()) else { bail!(usage()) };
    let tree = home.join(ROOTS).join(root);
    ensure!(!root.contains('/') && tree.is_dir(), usage());
    Ok(roots::run_in(&tree, Path::new("."), argv)?)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<std::io::Result<_>>();
    let mut names: Vec<String> = names.with_context(|| format!("listing {}", folder.display()))?;
    names.sort();
    Ok(names)
}

/// The tree in the output of `root NAME`, which is called by its digest.
fn only_entry(output: &Path) -> Result<PathBuf> {
    match names(output)?.as_slice() {
        [one] => Ok(output.join(one)),
        many => bail!("{} holds {} entries, and not the one tree of a root", output.display(), many.len()),
    }
}

/// Where in the tree `program` is.
fn find(tree: &Path, program: &str) -> Result<PathBuf> {
    let place = PATH.iter().map(|folder| Path::new(folder).join(program)).find(|place| tree.join(place).exists());
    let place = place.with_context(|| format!("it is in none of {}", PATH.join(", ")))?;
    let real = fs::canonicalize(tree.join(&place))?;
    ensure!(real.starts_with(tree), "it is a link out of its root, to {}", real.display());
    let mut first = [0; 4];
    File::open(&real)?.read_exact(&mut first)?;
    ensure!(first == ELF, "it is a script, whose interpreter would be the host's");
    Ok(place)
}

fn link(to: impl AsRef<OsStr>, at: &Path) -> Result<()> {
    symlink(to.as_ref(), at).with_context(|| format!("linking {}", at.display()))
}
