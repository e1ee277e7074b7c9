//! Writes the small images of the tests as folders: `original`, and one for each change. `ci/screens` draws pages about them, which stay
//! the same when the real image moves.
//!
//!     cargo run -p sealstone-compare --example samples -- DIR

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "a program for tests alone")]

#[path = "../tests/six/sample.rs"]
mod sample;

use std::fs;
use std::path::Path;

use sample::Recipe;

fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let original = Recipe::default;
    let samples = [
        ("original", original()),
        ("kernel-option", Recipe { kernel_option: "n", ..original() }),
        ("cmdline", Recipe { cmdline: "console=ttyS0 loglevel=7", ..original() }),
        ("verity-salt", Recipe { salt: 8, ..original() }),
    ];
    for (name, recipe) in samples {
        let mut files = recipe.files();
        // No output folder has it.
        files.remove("System.map");
        let sum = |(file, bytes): (&String, &Vec<u8>)| format!("{}  {file}\n", sealstone_spec::Sha256::of(bytes));
        let sums: String = files.iter().map(sum).collect();
        files.insert("SHA256SUMS".into(), sums.into_bytes());
        for (file, bytes) in files {
            let path = Path::new(&dir).join(name).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}
