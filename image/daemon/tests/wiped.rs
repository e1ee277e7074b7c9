//! What is freed is overwritten, in the environment that init gives the daemon.
//!
//! A process looks at its own memory through `/proc/self/mem`, where pieces were that it has given back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

use sealstone_daemon::start::ENVIRONMENT;

const MARK: u8 = 0x5a;
const CHILD: &str = "SEALSTONE_LOOKS_AT_ITSELF";

/// Pieces of the sizes of heads, texts, records and bodies.
const SIZES: [usize; 8] = [24, 100, 1000, 2000, 5000, 20_000, 65_536, 100_000];

#[test]
fn freed_memory_is_overwritten() {
    if std::env::var_os(CHILD).is_some() {
        println!("left: {}", left());
        return;
    }
    let left = |environment: Option<(&str, &str)>| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "freed_memory_is_overwritten", "--nocapture", "--test-threads=1"]).env_clear().env(CHILD, "1");
        let output = command.envs(environment).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, count) = text.split_once("left: ").expect(&text);
        count.split_whitespace().next().unwrap().parse::<usize>().unwrap()
    };
    // Without it nearly everything stays, or this test could not fail.
    assert!(left(None) > SIZES.iter().sum::<usize>() / 2);
    assert!(left(Some(ENVIRONMENT)) <= 8 * SIZES.len());
}

/// Bytes of freed pieces that are still as they were.
fn left() -> usize {
    let memory = File::open("/proc/self/mem").unwrap();
    // Kept pieces between them, so that none is given back to the kernel.
    let pieces: Vec<(Vec<u8>, Vec<u8>)> = SIZES.iter().map(|size| (vec![MARK; *size], vec![1; 16])).collect();
    let places: Vec<(usize, usize)> = pieces.iter().map(|(piece, _)| (piece.as_ptr().addr(), piece.len())).collect();
    let mut bytes: Vec<Vec<u8>> = SIZES.iter().map(|size| vec![0; *size]).collect();
    let kept: Vec<Vec<u8>> = pieces.into_iter().map(|(_, kept)| kept).collect();
    let mut count = 0;
    for ((place, length), bytes) in places.into_iter().zip(&mut bytes) {
        let read = memory.read_at(&mut bytes[..length], place.try_into().unwrap()).unwrap();
        count += bytes[..read].iter().filter(|byte| **byte == MARK).count();
    }
    assert_eq!(kept.len(), SIZES.len());
    count
}
