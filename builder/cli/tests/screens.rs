//! What the pages that the tool writes look like: screenshots, taken by `ci/screens` with the pinned Chromium, against what they looked like
//! when somebody last looked at them.
//!
//! Kept is the mean luminance of each block of pixels, as text: it moves when anything is laid out, coloured or sized otherwise, and can be
//! reviewed. `SEALSTONE_BLESS=1` writes it anew; look at the pictures before.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "failing loudly is right in tests")]

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Side of a block in pixels.
const BLOCK: usize = 32;

/// Steps of 255 by which a block may differ: a letter drawn a little otherwise, and not one word more.
const TOLERANCE: u8 = 6;

/// An 8-bit picture without interlacing, as Chromium writes it. Source: PNG (ISO/IEC 15948), sections 5.3, 9, 11.2.
struct Picture {
    width: usize,
    height: usize,
    /// Bytes of a pixel: 3 or 4.
    pixel: usize,
    rows: Vec<Vec<u8>>,
}

impl Picture {
    fn read(png: &[u8]) -> Self {
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        let number = |at: usize| usize::try_from(u32::from_be_bytes(png[at..at + 4].try_into().unwrap())).unwrap();
        let (width, height) = (number(16), number(20));
        let pixel = match (png[24], png[25], png[28]) {
            (8, 2, 0) => 3,
            (8, 6, 0) => 4,
            other => panic!("a depth, colour type and interlacing of {other:?}"),
        };
        let mut packed = Vec::new();
        let mut at = 8;
        while at < png.len() {
            let len = number(at);
            if &png[at + 4..at + 8] == b"IDAT" {
                packed.extend(&png[at + 8..at + 8 + len]);
            }
            at += len + 12;
        }
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
        let mut rows: Vec<Vec<u8>> = Vec::new();
        for line in bytes.chunks(1 + width * pixel) {
            let above = rows.last().cloned().unwrap_or_else(|| vec![0; width * pixel]);
            rows.push(unfiltered(line[0], &line[1..], &above, pixel));
        }
        assert_eq!(rows.len(), height);
        Self { width, height, pixel, rows }
    }

    /// Mean luminance of each block, two hexadecimal digits each. Source of the weights: ITU-R BT.709.
    fn blocks(&self) -> String {
        let mut out = String::new();
        for top in (0..self.height).step_by(BLOCK) {
            for left in (0..self.width).step_by(BLOCK) {
                let (mut sum, mut count) = (0.0, 0.0);
                for row in self.rows.iter().skip(top).take(BLOCK) {
                    for p in row.chunks(self.pixel).skip(left).take(BLOCK) {
                        sum += 0.2126 * f64::from(p[0]) + 0.7152 * f64::from(p[1]) + 0.0722 * f64::from(p[2]);
                        count += 1.0;
                    }
                }
                write!(out, "{:02x}", (sum / count).round() as u8).unwrap();
            }
            out.push('\n');
        }
        out
    }
}

fn unfiltered(filter: u8, line: &[u8], above: &[u8], pixel: usize) -> Vec<u8> {
    let mut row = line.to_vec();
    for i in 0..row.len() {
        let left = if i < pixel { 0 } else { row[i - pixel] };
        let corner = if i < pixel { 0 } else { above[i - pixel] };
        let add = match filter {
            0 => 0,
            1 => left,
            2 => above[i],
            3 => u8::try_from((u16::from(left) + u16::from(above[i])) / 2).unwrap(),
            4 => paeth(left, above[i], corner),
            other => panic!("filter {other}"),
        };
        row[i] = row[i].wrapping_add(add);
    }
    row
}

fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let estimate = i16::from(left) + i16::from(above) - i16::from(corner);
    let off = |value: u8| (estimate - i16::from(value)).abs();
    if off(left) <= off(above) && off(left) <= off(corner) {
        left
    } else if off(above) <= off(corner) {
        above
    } else {
        corner
    }
}

/// Where blocks differ: row, column, and what they were and are. Another number of blocks differs everywhere.
fn differing(before: &str, after: &str) -> Vec<(usize, usize, u8, u8)> {
    let values = |text: &str| -> Vec<Vec<u8>> {
        let line = |line: &str| (0..line.len() / 2).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect();
        text.lines().map(line).collect()
    };
    let (before, after) = (values(before), values(after));
    let same_shape = before.iter().map(Vec::len).eq(after.iter().map(Vec::len));
    let rows = before.iter().zip(&after).enumerate();
    let all = rows.flat_map(|(y, (a, b))| a.iter().zip(b).enumerate().map(move |(x, (a, b))| (y, x, *a, *b)));
    all.filter(|(_, _, a, b)| !same_shape || a.abs_diff(*b) > TOLERANCE).collect()
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(format!("{name}.txt"))
}

#[test]
fn pages_look_as_they_did() {
    let Some(dir) = std::env::var_os("SEALSTONE_SCREENS") else {
        println!("SKIPPED pages_look_as_they_did: no screenshots in SEALSTONE_SCREENS; ci/screens takes them");
        return;
    };
    let mut taken: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    taken.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    taken.sort();
    let bless = std::env::var_os("SEALSTONE_BLESS").is_some();
    let known = fs::read_dir(kept("").parent().unwrap()).unwrap().count();
    assert!(bless || taken.len() == known, "{known} are kept, and {taken:?} were taken");
    let mut wrong = Vec::new();
    for path in taken {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let found = Picture::read(&fs::read(&path).unwrap()).blocks();
        if bless {
            fs::write(kept(&name), &found).unwrap();
        }
        let differing = differing(&fs::read_to_string(kept(&name)).unwrap_or_default(), &found);
        if !differing.is_empty() {
            wrong.push(format!(
                "{}: {} blocks of {BLOCK} pixels, the first (row, column, was, is) {:?}",
                path.display(),
                differing.len(),
                differing[0]
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "look at these; if they are as they should be, keep them with SEALSTONE_BLESS=1:\n{}",
        wrong.join("\n")
    );
}

/// The guard itself: it sees a line of text that moved, and a picture of another size.
#[test]
fn the_guard_sees_what_moved() {
    let page = |line: usize, height: usize| {
        let row = |y: usize| {
            if (line..line + 12).contains(&y) { [[30, 30, 30]; 200].concat() } else { [[255, 255, 255]; 200].concat() }
        };
        Picture { width: 200, height, pixel: 3, rows: (0..height).map(row).collect() }.blocks()
    };
    assert!(differing(&page(40, 300), &page(40, 300)).is_empty());
    assert!(!differing(&page(40, 300), &page(60, 300)).is_empty());
    assert!(!differing(&page(40, 300), &page(40, 400)).is_empty());
    assert_eq!(unfiltered(4, &[1, 2, 3, 4, 5, 6], &[10, 20, 30, 40, 50, 60], 3), [11, 22, 33, 44, 55, 66]);
}
