//! Registers that moved, and which files moved them.

use std::collections::{BTreeMap, BTreeSet};

use ovmf_measure::transcript::{Event, Input, Kind, registers};
use sealstone_release::pin::{Pin, Profile};
use serde::Serialize;

use crate::side::Side;

/// A register whose acceptable values differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The profile.
    pub profile: String,
    /// `sev-snp`, `tdx` or `tpm2`.
    pub tee: String,
    /// `launch`, `rtmr1`, `pcr4`.
    pub register: String,
    /// Files that the events which differ are made from; any of them may have moved it.
    pub through: BTreeSet<String>,
}

/// Registers of the profiles that both pins have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Registers {
    /// Those that moved, in the order of the first pin.
    pub moved: Vec<Moved>,
    /// How many there are of each name and technology, moved or not: what "every" means.
    #[serde(skip)]
    pub(crate) counts: BTreeMap<(String, String), usize>,
    /// Profiles that only the first pin has.
    pub gone: Vec<String>,
    /// Profiles that only the second pin has.
    pub new: Vec<String>,
}

/// Compares the registers of two pins, if there are two.
pub fn compare(a: &Side, b: &Side) -> Registers {
    let (Some(x), Some(y)) = (&a.pin, &b.pin) else { return Registers::default() };
    let ids = |pin: &Pin| -> BTreeSet<String> { pin.contents().profiles.iter().map(|p| p.id().to_owned()).collect() };
    let (left, right) = (ids(x), ids(y));
    let mut all = Registers {
        gone: left.difference(&right).cloned().collect(),
        new: right.difference(&left).cloned().collect(),
        ..Registers::default()
    };
    for profile in &x.contents().profiles {
        if let Ok(other) = y.profile(profile.id()) {
            compare_profile(profile, other, &mut all);
        }
    }
    all
}

fn compare_profile(a: &Profile, b: &Profile, all: &mut Registers) {
    // A pin's events fold, or it would not have been read.
    let (before, after) = (registers(a.events()).unwrap_or_default(), registers(b.events()).unwrap_or_default());
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for register in names {
        *all.counts.entry((a.tee().to_owned(), register.to_string())).or_default() += 1;
        if before.get(register) == after.get(register) {
            continue;
        }
        let of = |profile: &'_ Profile| -> Vec<Event> {
            profile.events().iter().filter(|event| event.register == *register).cloned().collect()
        };
        let (left, right) = (of(a), of(b));
        let mut through = BTreeSet::new();
        for index in 0..left.len().max(right.len()) {
            let (x, y) = (left.get(index), right.get(index));
            if x.map(|e| (&e.digest, &e.or)) != y.map(|e| (&e.digest, &e.or)) {
                for event in [x, y].into_iter().flatten() {
                    through.extend(files(event, a));
                }
            }
        }
        all.moved.push(Moved { profile: a.id().to_owned(), tee: a.tee().to_owned(), register: register.to_string(), through });
    }
}

/// The files that an event's digest is a function of; of a unified kernel image, those that stand in it.
fn files(event: &Event, profile: &Profile) -> Vec<String> {
    let names: &[&str] = match (event.kind, event.source.input) {
        (Kind::KernelHashes, _) => &["vmlinuz", "initrd", "cmdline"],
        // QEMU writes the initrd's address and size into the header of the kernel that is measured.
        (_, Input::Kernel) if event.source.how.contains("rewrote") => &["vmlinuz", "initrd"],
        (_, Input::Kernel) => &["vmlinuz"],
        (_, Input::Initrd) => &["initrd"],
        (_, Input::Cmdline) => &["cmdline"],
        (_, Input::Uki) if event.source.how.contains("section .linux") => &["vmlinuz"],
        (_, Input::Uki) if event.source.how.contains("section .initrd") => &["initrd"],
        (_, Input::Uki) if event.source.how.contains("section .cmdline") => &["cmdline"],
        (_, Input::Uki) => &["uki.efi"],
        (_, Input::Disk) => &["disk.raw"],
        (_, Input::Firmware) => {
            return match profile {
                Profile::Snp(profile) => vec![format!("firmware/{}", profile.firmware.name)],
                Profile::Tdx(profile) => vec![format!("firmware/{}", profile.firmware.name)],
                _ => Vec::new(),
            };
        }
        _ => &[],
    };
    names.iter().map(ToString::to_string).collect()
}

/// The registers in words: `every SNP digest, RTMR1 and PCR 4`. A register that moved on some platforms alone has them named.
pub(crate) fn in_words(moved: &[&Moved], counts: &BTreeMap<(String, String), usize>) -> String {
    let mut by_name: BTreeMap<(u8, u8, &str, &str), Vec<&str>> = BTreeMap::new();
    for one in moved {
        let number = one.register.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap_or(0);
        let kind = match one.tee.as_str() {
            "sev-snp" => 0,
            "tdx" => 1,
            _ => 2,
        };
        by_name.entry((kind, number, &one.tee, &one.register)).or_default().push(&one.profile);
    }
    let phrase = |((_, number, tee, register), profiles): (&(u8, u8, &str, &str), &Vec<&str>)| {
        let all = counts.get(&((*tee).to_owned(), (*register).to_owned())).copied().unwrap_or(0);
        let whole = profiles.len() >= all;
        let name = match *tee {
            "sev-snp" if whole => return "every SNP digest".to_owned(),
            "sev-snp" => "the SNP digest".to_owned(),
            "tdx" if *register == "mrtd" => "MRTD".to_owned(),
            "tdx" => format!("RTMR{number}"),
            _ => format!("PCR {number}"),
        };
        if whole { name } else { format!("{name} ({})", profiles.join(", ")) }
    };
    list(&by_name.iter().map(phrase).collect::<Vec<_>>())
}

/// `a, b and c`.
pub(crate) fn list(items: &[String]) -> String {
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_is_said_only_of_all() {
        let moved = |profile: &str, tee: &str, register: &str| Moved {
            profile: profile.into(),
            tee: tee.into(),
            register: register.into(),
            through: BTreeSet::new(),
        };
        let counts = BTreeMap::from([
            (("sev-snp".to_owned(), "launch".to_owned()), 2),
            (("tdx".to_owned(), "rtmr1".to_owned()), 1),
            (("tpm2".to_owned(), "pcr4".to_owned()), 2),
        ]);
        let all = [
            moved("tpm-disk", "tpm2", "pcr4"),
            moved("snp-rome", "sev-snp", "launch"),
            moved("tdx", "tdx", "rtmr1"),
            moved("snp-milan", "sev-snp", "launch"),
        ];
        let words = |list: &[&Moved]| in_words(list, &counts);
        assert_eq!(words(&all.iter().collect::<Vec<_>>()), "every SNP digest, RTMR1 and PCR 4 (tpm-disk)");
        assert_eq!(words(&[&all[1]]), "the SNP digest (snp-rome)");
        assert_eq!(words(&[]), "");
    }
}
