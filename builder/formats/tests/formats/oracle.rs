//! Independent tools, to be asked what they think of our bytes.

use std::path::PathBuf;
use std::process::Command;

/// A command for `tool` from one of the folders in `SEALSTONE_CHECK_BIN` (colon-separated: wrappers into the pinned tool
/// root), else from `PATH` or the folders of system tools. Without it, says that `test` is skipped.
pub(crate) fn oracle(test: &str, tool: &str) -> Option<Command> {
    let folders = |name| std::env::var_os(name).into_iter().flat_map(|value| std::env::split_paths(&value).collect::<Vec<_>>());
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found = folders("SEALSTONE_CHECK_BIN")
        .chain(folders("PATH"))
        .chain(system)
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED {test}: no {tool} in SEALSTONE_CHECK_BIN or PATH");
    }
    let mut command = Command::new(found?);
    command.env("LC_ALL", "C").env("TZ", "UTC");
    Some(command)
}

/// Runs it; it must succeed. Returns what it printed, standard error last.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed: {text}");
    text
}

/// A temporary folder with one file in it.
pub(crate) fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Compares with a golden dump; on a difference prints both.
pub(crate) fn assert_golden(golden: &str, found: &str) {
    assert!(golden == found, "the dump differs from the golden one\n--- golden\n{golden}\n--- found\n{found}");
}
