//! Several fragments as one request to Kconfig.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::fmt;

use thiserror::Error;

use crate::fragment::{Entry, Fragment};
use crate::option::{OptionName, Value, config_line};

/// All requests, each option once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    wanted: BTreeMap<OptionName, Wanted>,
}

/// What is asked of one option, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The value that all fragments agree on.
    pub value: Value,
    /// Every place that asks, in the order of the fragments; never empty.
    pub origins: Vec<Origin>,
}

/// Where and why an option was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The fragment's name.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// The reason given there.
    pub reason: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Merged {
    /// Joins fragments. Several may ask for the same value, each for its own reason; the order of
    /// the fragments never decides a value.
    ///
    /// # Errors
    /// [`Conflict`] if two fragments ask for different values of one option.
    pub fn of(fragments: &[Fragment]) -> Result<Self, Conflict> {
        let mut merged = Self::default();
        for fragment in fragments {
            for entry in &fragment.entries {
                merged.add(&fragment.file, entry)?;
            }
        }
        Ok(merged)
    }

    fn add(&mut self, file: &str, entry: &Entry) -> Result<(), Conflict> {
        let origin = Origin { file: file.to_owned(), line: entry.line, reason: entry.reason.clone() };
        match self.wanted.entry(entry.name.clone()) {
            Slot::Vacant(slot) => {
                slot.insert(Wanted { value: entry.value.clone(), origins: vec![origin] });
            }
            Slot::Occupied(mut slot) if slot.get().value == entry.value => {
                slot.get_mut().origins.push(origin);
            }
            Slot::Occupied(slot) => {
                let first = slot.get();
                return Err(Conflict {
                    name: entry.name.clone(),
                    first: (places(&first.origins), first.value.clone()),
                    second: (origin.to_string(), entry.value.clone()),
                });
            }
        }
        Ok(())
    }

    /// The requests, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&OptionName, &Wanted)> {
        self.wanted.iter()
    }

    /// How many options are asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Whether nothing is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The text for `KCONFIG_ALLCONFIG=<file> make allnoconfig`: sorted, so that the order of the
    /// fragments and their headings don't change the bytes (which are an input of the kernel's action).
    #[must_use]
    pub fn allconfig(&self) -> String {
        let mut text = String::new();
        for (name, wanted) in &self.wanted {
            text.push_str(&config_line(name, &wanted.value));
            text.push('\n');
        }
        text
    }
}

/// `file:line` of every origin.
pub(crate) fn places(origins: &[Origin]) -> String {
    origins.iter().map(Origin::to_string).collect::<Vec<_>>().join(", ")
}

/// Two fragments contradict each other; there is no merged request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{name} should be {} for {}, but {} for {}: decide in one place",
    first.1, first.0, second.1, second.0
)]
#[non_exhaustive]
pub struct Conflict {
    /// The option that they disagree about.
    pub name: OptionName,
    /// The places that asked first, and for what.
    pub first: (String, Value),
    /// The place that asked for something else.
    pub second: (String, Value),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolved::Resolved;

    fn fragment(file: &str, text: &str) -> Fragment {
        Fragment::parse(file, text).unwrap()
    }

    #[test]
    fn agreeing_fragments_keep_both_reasons() {
        let a = fragment("a", "#: for a\nCONFIG_X=y\n#: b\nCONFIG_B=\"q\"\n");
        let b = fragment("b", "\n#: for b\nCONFIG_X=y\n#: c\nCONFIG_A=n\n");
        let merged = Merged::of(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(merged.allconfig(), "# CONFIG_A is not set\nCONFIG_B=\"q\"\nCONFIG_X=y\n");
        assert_eq!(Merged::of(&[b, a]).unwrap().allconfig(), merged.allconfig());
        let (_, x) = merged.iter().last().unwrap();
        assert_eq!(places(&x.origins), "a:2, b:3");
        assert_eq!(x.origins[1].reason, "for b");
    }

    #[test]
    fn contradictions_name_both_places() {
        let a = fragment("a", "#: r\nCONFIG_X=y\n");
        let b = fragment("b", "\n#: r\nCONFIG_X=n\n");
        assert_eq!(
            Merged::of(&[a, b]).unwrap_err().to_string(),
            "CONFIG_X should be y for a:2, but n for b:3: decide in one place"
        );
    }

    #[test]
    fn the_request_is_a_configuration_that_grants_itself() {
        let a = fragment("a", "#: r\nCONFIG_X=y\n#: r\nCONFIG_Y=n\n#: r\nCONFIG_Z=0x10\n");
        let merged = Merged::of(&[a]).unwrap();
        let resolved = Resolved::parse("r", &merged.allconfig()).unwrap();
        for (name, wanted) in merged.iter() {
            assert_eq!(resolved.value(name), Some(&wanted.value));
        }
    }
}
