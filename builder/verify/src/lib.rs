//! Does this machine run the image that I pinned, on genuine hardware, under conditions that I accept?
//!
//! Everything is an argument: documents are bytes, the time is a number, and nothing here touches files, clock, environment,
//! network or randomness. The vendors' root keys are compiled in. It builds for `wasm32-unknown-unknown`.
//!
//! ```
//! use sealstone_verify::{Binding, Evidence, Pin, Policy, Time, verify};
//! # let pin_json = include_bytes!("../tests/data/pin.json");
//! # let evidence_json = include_bytes!("../tests/data/evidence.json");
//! # let now = 1_800_000_000;
//!
//! let pin = Pin::parse(pin_json)?;
//! let evidence = Evidence::parse(evidence_json)?;
//! // This machine's TPM is a program, which nobody vouches for. Without a policy that says so, it is refused.
//! let policy = Policy::parse(b"schema: sealstone/policy/v1\ntpm: {allow_unendorsed_key: true}\n")?;
//!
//! let verdict = verify(&pin, &evidence, &policy, &Binding::Offline, Time::from_unix(now)?);
//! assert!(verdict.is_accepted());
//!
//! let strict = verify(&pin, &evidence, &Policy::default(), &Binding::Offline, Time::from_unix(now)?);
//! assert_eq!(strict.exit_code(), 12);
//! let worst = strict.checks().next().unwrap();
//! assert_eq!(worst.id, "tpm.endorsement");
//! println!("{}: expected {}, found {}; {}", worst.id, worst.expected, worst.found, worst.why);
//! # Ok::<(), sealstone_verify::Error>(())
//! ```
//!
//! | item | is |
//! | --- | --- |
//! | [`Pin`], [`Evidence`], [`Policy`], [`Release`] | documents, parsed strictly, not yet believed |
//! | [`verify`], [`verify_release`], [`verify_snp`], [`verify_tdx`] | the questions |
//! | [`Verdict`], [`Check`] | the answer: every check, worst first |
//! | [`Profile`], [`Event`] | what each predicted register is made of |
//! | [`json`] | the same as text in and text out, which the WebAssembly module hands on |
//!
//! What is public here changes by the rules of semantic versioning; the crates below (`sealstone-release`,
//! `sealstone-evidence`, `ovmf-measure`) are the workshop, and move with the program.

mod chain;
mod documents;
mod error;
pub mod json;
mod verdict;

pub use chain::{Alternative, Event, Profile};
pub use documents::{Evidence, Pin, Policy, Release, Time};
pub use error::{Document, Error};
pub use verdict::{Binding, Check, Outcome, Refusal, Verdict, verify, verify_release, verify_snp, verify_tdx};
