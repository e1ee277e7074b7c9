//! One line of a verdict.
//!
//! Every check is run and listed even after another one has refused, so that a reader sees all that is wrong at once.

use serde::Serialize;

/// Text for a terminal, made safe: names in certificates and documents are whatever their maker wrote, and could move the
/// cursor or begin a new line that says `accepted`. Control characters, and those that turn the direction of text, are
/// written as `\u{…}`.
pub fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

/// What a refusal means for the caller, worst first. The numbers are the exit codes of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Not shown to come from genuine hardware: nothing else in the evidence means anything.
    Signature,
    /// Genuine, but something else is running than what was asked for.
    Measurement,
    /// Genuine and perhaps the right program, but under conditions that the policy doesn't accept, or no longer.
    Policy,
    /// Nothing else refuses, but nobody can see that it was published: no proof of a log, or a wrong one.
    Transparency,
}

impl Refusal {
    /// Exit code of the command line.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Signature => 10,
            Self::Measurement => 11,
            Self::Policy => 12,
            Self::Transparency => 13,
        }
    }
}

/// How a check ended. Ordered worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It refuses.
    Refused(Refusal),
    /// There was nothing to compare with: the caller named no expectation. Doesn't refuse, and proves nothing.
    NotAsked,
    /// It holds.
    Passed,
}

/// One check: what was looked at, what was expected, what was found, and why it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name, dotted, such as `snp.signature`.
    pub id: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What would have passed; for people.
    pub expected: String,
    /// What was there; for people.
    pub found: String,
    /// What it would mean if this check didn't hold, or what to do about it.
    pub why: String,
}

impl Check {
    /// A check that refuses with `refusal` unless `holds`.
    pub fn judge(
        id: &'static str,
        refusal: Refusal,
        holds: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let outcome = if holds { Outcome::Passed } else { Outcome::Refused(refusal) };
        Self { id, outcome, expected: expected.into(), found: found.into(), why: why.into() }
    }

    /// A check of a signature or of anything else that genuineness hangs on, from a result: an error is what was found.
    pub fn genuine<E: std::fmt::Display>(
        id: &'static str,
        expected: impl Into<String>,
        result: Result<impl Into<String>, E>,
        why: impl Into<String>,
    ) -> Self {
        let (holds, found) = match result {
            Ok(found) => (true, found.into()),
            Err(error) => (false, error.to_string()),
        };
        Self::judge(id, Refusal::Signature, holds, expected, found, why)
    }

    /// A check for which the caller named no expectation.
    pub fn not_asked(id: &'static str, found: impl Into<String>, why: impl Into<String>) -> Self {
        Self { id, outcome: Outcome::NotAsked, expected: String::new(), found: found.into(), why: why.into() }
    }

    /// Whether it holds.
    pub fn passed(&self) -> bool {
        self.outcome == Outcome::Passed
    }

    /// Whether it refuses.
    pub fn refused(&self) -> bool {
        matches!(self.outcome, Outcome::Refused(_))
    }
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_moves_the_cursor() {
        let table = [
            ("ARK-Milan", "ARK-Milan"),
            ("Größe \u{1f512}", "Größe \u{1f512}"),
            ("a\nb", "a\\u{a}b"),
            ("\u{1b}[2J\r\u{9b}1A\u{7f}", "\\u{1b}[2J\\u{d}\\u{9b}1A\\u{7f}"),
            ("\u{202e}detpecca\u{2066}\u{feff}\u{200b}", "\\u{202e}detpecca\\u{2066}\\u{feff}\\u{200b}"),
        ];
        for (text, shown) in table {
            assert_eq!(printable(text), shown);
        }
    }
}
