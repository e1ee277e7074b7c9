//! The library's dm-verity on files, for `ci/bench/verity` and for whoever wants to compare with veritysetup(8).
//!
//! ```text
//! verity-hash make BYTES FILE             reproducible pseudo-random bytes
//! verity-hash format DATA TREE SALT       writes the tree, prints the root
//! verity-hash verify DATA TREE SALT ROOT  checks data and tree, names what is damaged
//! ```

#![expect(clippy::disallowed_methods, reason = "the library itself does no files")]

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;

use sealstone_formats::access::{ReadAt, WriteAt};
use sealstone_formats::verity::{Root, Salt, verify, write_tree};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("verity-hash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<String, Box<dyn Error>> {
    match words {
        ["make", bytes, file] => {
            make(bytes.parse()?, &mut BufWriter::new(File::create(file)?))?;
            Ok((*file).to_owned())
        }
        ["format", data, tree, salt] => {
            let salt = Salt::from_bytes(bytes32(salt)?);
            let mut tree = Tree(File::create(tree)?);
            let root = write_tree(&Data::open(data)?, &salt, &mut tree)?;
            // So does veritysetup.
            tree.0.sync_all()?;
            Ok(root.to_string())
        }
        ["verify", data, tree, salt, root] => {
            let (salt, root) = (Salt::from_bytes(bytes32(salt)?), Root::from_bytes(bytes32(root)?));
            verify(&Data::open(data)?, &Data::open(tree)?, &salt, &root)?;
            Ok("every block is what the root vouches for".to_owned())
        }
        _ => Err("usage: make BYTES FILE | format DATA TREE SALT | verify DATA TREE SALT ROOT".into()),
    }
}

/// A file of the length that it had when it was opened.
struct Data {
    file: File,
    size: u64,
}

impl Data {
    fn open(path: &str) -> io::Result<Data> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Data { file, size })
    }
}

impl ReadAt for Data {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }
}

struct Tree(File);

impl WriteAt for Tree {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}

fn bytes32(hex: &str) -> Result<[u8; 32], Box<dyn Error>> {
    let digits: Option<Vec<u8>> = hex.chars().map(|digit| u8::try_from(digit.to_digit(16)?).ok()).collect();
    let bytes: Vec<u8> = digits.unwrap_or_default().chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    bytes.try_into().map_err(|_| format!("{hex:?}: expected 64 hexadecimal digits").into())
}

/// Xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003): nothing that depends on chance, and no block like another.
fn make(bytes: u64, out: &mut impl Write) -> io::Result<()> {
    let mut state = 0x5EA1_5703_E000_0001u64;
    for _ in 0..bytes.div_ceil(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    out.flush()
}
