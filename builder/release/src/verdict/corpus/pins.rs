//! The pin: every field off by one bit, and pins that aren't for this machine.

use ovmf_measure::digest::{Algorithm, Digest};
use ovmf_measure::transcript::{Register, registers};
use sealstone_evidence::snp::Product;
use sealstone_evidence::testing::x509::AT;

use super::sample::{contents, pin};
use super::snp::Snp;
use super::tdx::Tdx;
use super::tpm::Tpm;
use super::{Case, Expect};
use crate::pin::{Contents, PcrIndex, Pin, Profile, Validity};
use crate::time::Moment;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = bits();
    cases.extend(text());
    cases.extend(others());
    cases
}

fn moment(seconds: u64) -> Moment {
    Moment::from_unix(seconds).unwrap()
}

/// The first bit of a digest flipped.
fn other(digest: &Digest) -> Digest {
    let mut bytes = digest.as_bytes().to_vec();
    bytes[0] ^= 1;
    Digest::from_bytes(&bytes).unwrap()
}

/// One bit of each event that a register is made of, and the registers made to fit, as a forger would.
fn bits() -> Vec<Case> {
    let count = |which: usize| contents().profiles[which].events().len();
    let mut cases = Vec::new();
    for which in 0..3 {
        for event in 0..count(which) {
            let mut contents = contents();
            let register = flip_event(&mut contents.profiles[which], event);
            let text = Pin::new(contents).unwrap().to_text();
            let (name, check, found) = match which {
                0 => ("sev-snp", "pin.launch", Snp { pin: text, ..Snp::new(Product::Genoa, 5) }.judge()),
                1 => ("tdx", td_check(register), Tdx { pin: text, ..Tdx::new(4) }.judge()),
                _ => ("tpm2", pcr_check(register), Tpm { pin: text, ..Tpm::new() }.judge()),
            };
            // A machine with four vCPUs is made of all four events.
            cases.push(Case { name: format!("{name}, event {event}"), expect: Expect::Refused(check, 11), found });
        }
    }
    cases
}

fn td_check(register: Register) -> &'static str {
    match register {
        Register::Mrtd => "pin.mrtd",
        Register::Rtmr(1) => "pin.rtmr1",
        Register::Rtmr(2) => "pin.rtmr2",
        _ => "pin.rtmr3",
    }
}

fn pcr_check(register: Register) -> &'static str {
    match register {
        Register::Pcr(4) => "pin.pcr4",
        Register::Pcr(8) => "pin.pcr8",
        _ => "pin.pcr9",
    }
}

/// Changes an event and everything in `launch` that follows from it.
fn flip_event(profile: &mut Profile, index: usize) -> Register {
    let events = match profile {
        Profile::Snp(snp) => &mut snp.events,
        Profile::Tdx(tdx) => &mut tdx.events,
        Profile::Tpm(tpm) => &mut tpm.events,
    };
    events[index].digest = other(&events[index].digest);
    let register = events[index].register;
    let values = |events: &[_]| registers(events).unwrap();
    match profile {
        Profile::Snp(snp) => {
            let (before, vmsas) = snp.events.split_at(snp.events.len() - 2);
            snp.launch.pre_vmsa = values(before)[&Register::Launch][0];
            (snp.launch.bsp_vmsa, snp.launch.ap_vmsa) = (vmsas[0].digest, vmsas[1].digest);
        }
        Profile::Tdx(tdx) => {
            let mut values = values(&tdx.events);
            let mut take = |register| values.remove(&register);
            tdx.launch.mrtd = take(Register::Mrtd).unwrap();
            tdx.launch.rtmr1 = take(Register::Rtmr(1));
            tdx.launch.rtmr2 = take(Register::Rtmr(2));
            tdx.launch.rtmr3 = take(Register::Rtmr(3));
        }
        Profile::Tpm(tpm) => {
            for (register, found) in values(&tpm.events) {
                let Register::Pcr(number) = register else { panic!("{register}") };
                tpm.launch.pcrs.insert(PcrIndex::new(number).unwrap(), found);
            }
        }
    }
    register
}

/// Texts that aren't a pin: each digest's last digit changed, which its events contradict, and the rest of the format.
fn text() -> Vec<Case> {
    let good = pin();
    let mut cases = Vec::new();
    let mut unreadable = |name: String, text: &str| {
        let found = Tpm { pin: text.to_owned(), ..Tpm::new() }.judge();
        cases.push(Case { name, expect: Expect::Unreadable, found });
    };
    for profile in contents().profiles {
        let launch = match &profile {
            Profile::Snp(snp) => vec![snp.launch.pre_vmsa, snp.launch.bsp_vmsa, snp.launch.ap_vmsa],
            Profile::Tdx(tdx) => {
                let rtmrs = [&tdx.launch.rtmr1, &tdx.launch.rtmr2].into_iter().flatten().flatten().copied();
                tdx.launch.mrtd.iter().copied().chain(rtmrs).collect()
            }
            Profile::Tpm(tpm) => tpm.launch.pcrs.values().flatten().copied().filter(|d| *d != Algorithm::Sha256.zero()).collect(),
        };
        for (index, digest) in launch.iter().enumerate() {
            // The first time that it stands there; elsewhere it may stand again.
            let changed = good.replacen(&digest.to_string(), &other(digest).to_string(), 1);
            unreadable(format!("launch of {}, digest {index}", profile.id()), &changed);
        }
    }
    for (name, from, to) in [
        ("an unknown field", "\"schema\":", "\"more\": 1,\n  \"schema\":"),
        ("a field twice", "\"schema\":", "\"schema\": \"sealstone/pin/v1\",\n  \"schema\":"),
        ("another schema", "sealstone/pin/v1", "sealstone/pin/v2"),
        ("upper-case hex", "\"lock_sha256\": \"", "\"lock_sha256\": \"A"),
        ("a number with a fraction", "\"size\": 7", "\"size\": 7.5"),
        ("a field missing", "\"supersedes\": null,", ""),
        ("an unknown technology", "\"tee\": \"tdx\"", "\"tee\": \"sgx\""),
        ("a register unpinned and pinned", "\"unpinned\": [", "\"unpinned\": [\n 4,"),
    ] {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{name}");
        unreadable(format!("pin with {name}"), &changed);
    }
    unreadable("pin cut".into(), &good[..good.len() / 2]);
    unreadable("pin with something behind".into(), &format!("{good}x"));
    unreadable("two pins".into(), &good.repeat(2));
    cases
}

/// Pins that are right, but not for this machine or not any more.
fn others() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut with = |name: &str, check, code, change: &dyn Fn(&mut Contents)| {
        let mut contents = contents();
        change(&mut contents);
        let found = Tpm { pin: Pin::new(contents).unwrap().to_text(), ..Tpm::new() }.judge();
        cases.push(Case { name: name.to_owned(), expect: Expect::Refused(check, code), found });
    };
    let validity = |from, to| Some(Validity { not_before: moment(from), not_after: moment(to) });
    with("pin expired a second ago", "pin.validity", 12, &|pin| pin.validity = validity(0, AT - 1));
    with("pin valid from the next second", "pin.validity", 12, &|pin| pin.validity = validity(AT + 1, AT + 2));
    with("pin of another image", "config.image", 11, &|pin| pin.image.name = "other".into());
    with("pin of another version", "config.image", 11, &|pin| pin.image.version = "0.1.1".into());
    with("pin without models", "config.models", 11, &|pin| pin.models.clear());
    with("pin with another model", "config.models", 11, &|pin| pin.models[0].root = crate::hex::Sha256::of(b"other"));
    with("pin without a profile for the technology", "pin.profile", 11, &|pin| {
        pin.profiles.pop();
    });
    with("pin without any profile", "pin.pcr-digest", 11, &|pin| pin.profiles.clear());
    with("pin that speaks of no register", "pin.other-pcrs", 11, &|pin| {
        if let Some(Profile::Tpm(tpm)) = pin.profiles.last_mut() {
            (tpm.events, tpm.launch.pcrs) = (Vec::new(), Default::default());
        }
    });
    for (which, check) in [(0, "pin.launch"), (1, "pin.mrtd")] {
        let mut contents = contents();
        contents.profiles.remove(which);
        let pin = Pin::new(contents).unwrap().to_text();
        let found = match which {
            0 => Snp { pin, ..Snp::new(Product::Genoa, 5) }.judge(),
            _ => Tdx { pin, ..Tdx::new(4) }.judge(),
        };
        cases.push(Case { name: format!("pin without {check}"), expect: Expect::Refused(check, 11), found });
    }
    cases
}

#[test]
fn a_pin_is_valid_to_its_last_second() {
    for at in [(AT, AT), (AT - 1, AT), (AT, AT + 1)] {
        let mut contents = contents();
        contents.validity = Some(Validity { not_before: moment(at.0), not_after: moment(at.1) });
        let verdict = Tpm { pin: Pin::new(contents).unwrap().to_text(), ..Tpm::new() }.judge().unwrap();
        assert!(verdict.is_accepted(), "{}", verdict.to_text());
    }
}
