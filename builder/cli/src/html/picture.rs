//! The boot chain as a picture: on the left what boots, one below the other in the order of the boot, on the right the
//! registers, and a line for every file that goes into a register.
//!
//! It is narrow and its letters are large, so that it can still be read when a telephone shrinks it.

use std::fmt::Write as _;

use ovmf_measure::transcript::Op;
use sealstone_release::pin::Profile;

use super::escape;
use crate::commands::coverage;
use crate::commands::explain::values;

const WIDTH: usize = 560;
const BOX: usize = 215;
const HEIGHT: usize = 50;
const STEP: usize = 74;
/// Where the boxes of registers begin.
const RIGHT: usize = WIDTH - BOX - 5;

/// What runs or is read in the order of a boot. Everything else is a setting and stands below, out of the chain.
const CHAIN: &[(&str, &str)] = &[
    ("OVMF", "firmware, runs first"),
    ("disk.raw", "partition table"),
    ("uki.efi", "stub, kernel, initrd"),
    ("vmlinuz", "kernel"),
    ("initrd", "init and daemon"),
];
/// Settings, with what they are.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("cmdline", "handed to the kernel", "image"),
    ("size of initrd", "written into the kernel", "image"),
    ("memory", "decides where the initrd lies", "host"),
];

struct Item {
    name: String,
    note: &'static str,
    class: &'static str,
    chained: bool,
    registers: Vec<String>,
}

/// The picture of one profile.
pub(super) fn of(profile: &Profile) -> String {
    let items = items(profile);
    let mut registers: Vec<(String, String)> = Vec::new();
    for (register, values) in values(profile) {
        let untouched = profile
            .events()
            .iter()
            .filter(|event| event.register == register)
            .all(|event| event.op == Op::Set && event.size.is_none());
        let short: String = values
            .first()
            .map(ToString::to_string)
            .unwrap_or_default()
            .chars()
            .take(if values.len() > 1 { 10 } else { 16 })
            .collect();
        let more = if values.len() > 1 { format!(" or {} more", values.len() - 1) } else { String::new() };
        let note = if untouched { "stays zero".into() } else { format!("{short}…{more}") };
        registers.push((register.to_string(), note));
    }
    let open = open(profile);
    let rows = items.len().max(registers.len() + usize::from(open.is_some()));
    let height = rows * STEP + 20;
    let label = escape(&format!("Boot chain of {}", profile.id()));
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{label}\">\n");
    for (row, item) in items.iter().enumerate() {
        for name in &item.registers {
            let target =
                registers.iter().position(|(register, _)| register == name).or((name.is_empty()).then_some(registers.len()));
            if let Some(target) = target {
                line(&mut out, row, target, item.class);
            }
        }
        if row > 0 && item.chained {
            let (x, from, to) = (BOX / 2 + 5, top(row - 1) + HEIGHT, top(row));
            let _ = writeln!(out, "<path class=\"starts\" d=\"M{x} {from}V{}m-5 -8l5 8l5 -8\"/>", to - 1);
        }
    }
    for (row, item) in items.iter().enumerate() {
        put(&mut out, 5, row, item.class, &item.name, item.note);
    }
    for (row, (register, note)) in registers.iter().enumerate() {
        put(&mut out, RIGHT, row, "register", register, note);
    }
    if let Some(open) = open {
        put(&mut out, RIGHT, registers.len(), "left-open", "left open", &open);
    }
    out.push_str("</svg>\n");
    out
}

fn items(profile: &Profile) -> Vec<Item> {
    let mut measured = coverage::measured(profile);
    let mut all = Vec::new();
    for (prefix, note) in CHAIN {
        let found = measured.keys().find(|name| name.starts_with(prefix)).cloned();
        let class = if *prefix == "OVMF" { "firmware" } else { "image" };
        match found {
            Some(name) => {
                let registers = measured.remove(&name).unwrap_or_default();
                let name = name.split(" (").next().unwrap_or_default().to_owned();
                all.push(Item { name, note, class, chained: true, registers });
            }
            // A machine with a TPM: the firmware goes into a register that is left open.
            None if *prefix == "OVMF" => {
                all.push(Item {
                    name: coverage::firmware_name(profile),
                    note,
                    class,
                    chained: true,
                    registers: vec![String::new()],
                });
            }
            None => {}
        }
    }
    for (name, registers) in measured {
        let known = SETTINGS.iter().find(|(setting, _, _)| *setting == name);
        let (note, class) = known.map_or(("the host's choice", "host"), |(_, note, class)| (*note, *class));
        all.push(Item { name, note, class, chained: false, registers });
    }
    all
}

/// The registers that the pin says nothing about, as far as it lists them.
fn open(profile: &Profile) -> Option<String> {
    let numbers: Vec<String> = match profile {
        Profile::Tpm(tpm) => tpm.launch.unpinned.iter().map(ToString::to_string).collect(),
        Profile::Tdx(tdx) => {
            let launch = &tdx.launch;
            let open = [&launch.rtmr0, &launch.rtmr1, &launch.rtmr2, &launch.rtmr3].map(Option::is_none);
            (0..4).zip(open).filter(|(_, open)| *open).map(|(number, _)| number.to_string()).collect()
        }
        _ => Vec::new(),
    };
    let word = if matches!(profile, Profile::Tpm(_)) { "PCR" } else { "RTMR" };
    (!numbers.is_empty()).then(|| format!("{word} {}", numbers.join(" ")))
}

fn top(row: usize) -> usize {
    row * STEP + 10
}

fn put(out: &mut String, x: usize, row: usize, class: &str, name: &str, note: &str) {
    let y = top(row);
    let (name, note) = (escape(name), escape(note));
    let _ = writeln!(
        out,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX}\" height=\"{HEIGHT}\" rx=\"6\"/>\
         <text x=\"{0}\" y=\"{1}\">{name}</text><text class=\"note\" x=\"{0}\" y=\"{2}\">{note}</text>",
        x + 10,
        y + 21,
        y + 40,
    );
}

fn line(out: &mut String, from: usize, to: usize, class: &str) {
    let (x1, y1, x2, y2) = (BOX + 5, top(from) + HEIGHT / 2, RIGHT, top(to) + HEIGHT / 2);
    let middle = x1.midpoint(x2);
    let _ = writeln!(out, "<path class=\"into {class}\" d=\"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}\"/>");
}
