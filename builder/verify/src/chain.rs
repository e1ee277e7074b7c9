//! What predicted registers are made of: the boot chain, event by event.

use ovmf_measure::transcript::{self, ControlledBy, Input, Op};
use sealstone_release::pin;

/// One kind of machine that a pin speaks of.
#[derive(Clone, Copy, Debug)]
pub struct Profile<'a>(&'a pin::Profile);

impl<'a> Profile<'a> {
    pub(crate) fn new(profile: &'a pin::Profile) -> Self {
        Self(profile)
    }

    /// Its name.
    pub fn id(&self) -> &'a str {
        self.0.id()
    }

    /// `sev-snp`, `tdx` or `tpm2`.
    pub fn tee(&self) -> &'static str {
        self.0.tee()
    }

    /// Every event that goes into a register, in the order in which they are measured.
    pub fn events(&self) -> impl Iterator<Item = Event> + use<'a> {
        self.0.events().iter().map(Event::of)
    }
}

/// One event of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The register: `launch`, `mrtd`, `rtmr0`…, `pcr0`….
    pub register: String,
    /// What kind of event it is; TCG events have the names of the PC Client Platform Firmware Profile.
    pub kind: String,
    /// How it enters the register: `starts as`, `extended by`, or the pages that it covers.
    pub op: String,
    /// The digest that enters, in lower-case hex.
    pub digest: String,
    /// Other digests that are as good.
    pub or: Vec<Alternative>,
    /// Bytes that were hashed, where the digest is a hash of bytes.
    pub size: Option<u64>,
    /// The input that the digest is a function of, such as `kernel`.
    pub input: String,
    /// How the digest is derived from it, in words.
    pub how: String,
    /// Who decides what it is: `image`, `firmware`, `platform` or `host`.
    pub controlled_by: &'static str,
}

/// Another digest that the same event may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternative {
    /// The other digest, in lower-case hex.
    pub digest: String,
    /// When the event has this one, in words.
    pub when: String,
}

impl Event {
    fn of(event: &transcript::Event) -> Self {
        let or = event.or.iter().map(|other| Alternative { digest: other.digest.to_string(), when: other.when.clone() });
        Self {
            register: event.register.to_string(),
            kind: word(&event.kind),
            op: op(&event.op),
            digest: event.digest.to_string(),
            or: or.collect(),
            size: event.size,
            input: word::<Input>(&event.source.input),
            how: event.source.how.clone(),
            controlled_by: match event.controlled_by {
                ControlledBy::Image => "image",
                ControlledBy::Firmware => "firmware",
                ControlledBy::Platform => "platform",
                ControlledBy::Host => "host",
            },
        }
    }
}

/// How a digest enters its register, in words.
fn op(op: &Op) -> String {
    match op {
        Op::Set => "starts as".into(),
        Op::Extend => "extended by".into(),
        Op::SnpPages(pages) if pages.count == 1 => format!("{} page at {:#x}", word(&pages.page_type), pages.gpa),
        Op::SnpPages(pages) => format!("{} {} pages from {:#x}", pages.count, word(&pages.page_type), pages.gpa),
    }
}

/// The word that the pin has for a value.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
