//! Kernel configuration: what was asked for, with reasons, and what Kconfig made of it.
//!
//! ```text
//! fragments ─parse─▶ Fragment ─merge─▶ Merged ─render─▶ KCONFIG_ALLCONFIG   (make allnoconfig)
//! .config   ─parse─▶ Resolved ─check against Merged, lint, diff, count─▶ findings
//! ```
//!
//! Kconfig drops what it can't satisfy without a word: a misspelt option or a missing dependency
//! gives a kernel without the hardening it was asked for. [`check()`] turns that into an error, and
//! [`lint()`] refuses what would make the kernel differ between builds or listen to its host.
//!
//! The crate is pure: text in, values out. It never runs Kconfig.
//!
//! - [`option`]: names and values, as both kinds of file spell them (Linux,
//!   `Documentation/kbuild/kconfig-language.rst` and `scripts/kconfig/confdata.c`)
//! - [`fragment`]: fragments, where every option has a reason
//! - [`merged`]: several fragments as one request
//! - [`resolved`]: the complete `.config`
//! - [`mod@check`]: was every request granted?
//! - [`mod@lint`]: what no kernel of an image may contain
//! - [`mod@diff`]: what changed between two resolved configurations

pub mod check;
pub mod diff;
pub mod fragment;
pub mod lint;
pub mod merged;
pub mod option;
pub mod resolved;

pub use check::{Unmet, UnmetCause, check};
pub use diff::{Change, diff};
pub use fragment::{Entry, Fragment, FragmentError};
pub use lint::{Finding, Rule, RuleSource, lint};
pub use merged::{Conflict, Merged, Origin, Wanted};
pub use option::{OptionName, Value, ValueError};
pub use resolved::{Resolved, ResolvedError};
