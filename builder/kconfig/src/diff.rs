//! What changed between two resolved configurations.

use std::collections::BTreeSet;
use std::fmt;

use crate::option::{OptionName, Value};
use crate::resolved::Resolved;

/// The options whose values differ, sorted by name. `n` and not being mentioned are different:
/// the second says that the option can't be chosen at all.
#[must_use]
pub fn diff(before: &Resolved, after: &Resolved) -> Vec<Change> {
    let names: BTreeSet<_> = before.iter().chain(after.iter()).map(|(name, _)| name).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let change = Change { name: name.clone(), before: before.value(name).cloned(), after: after.value(name).cloned() };
            (change.before != change.after).then_some(change)
        })
        .collect()
}

/// One option that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which option.
    pub name: OptionName,
    /// Its value before; `None` if it wasn't mentioned.
    pub before: Option<Value>,
    /// Its value after; `None` if it isn't mentioned.
    pub after: Option<Value>,
}

/// `CONFIG_X: y → n`, with `–` for an option that isn't mentioned.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<Value>| value.as_ref().map_or("–".to_owned(), Value::to_string);
        write!(f, "{}: {} → {}", self.name, side(&self.before), side(&self.after))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::option::strategies;

    #[test]
    fn every_kind_of_change_is_shown_once() {
        let before = "CONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\nCONFIG_D=\"x\"\nCONFIG_E=y\n";
        let after = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_D=\"y\"\nCONFIG_F=7\nCONFIG_E=y\n";
        let before = Resolved::parse("a", before).unwrap();
        let after = Resolved::parse("b", after).unwrap();
        let lines: Vec<_> = diff(&before, &after).iter().map(Change::to_string).collect();
        assert_eq!(lines, ["CONFIG_B: y → n", "CONFIG_C: n → –", "CONFIG_D: \"x\" → \"y\"", "CONFIG_F: – → 7"]);
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself_and_swapping_swaps(
            a in prop::collection::btree_map(strategies::name(), strategies::value(), 0..8),
            b in prop::collection::btree_map(strategies::name(), strategies::value(), 0..8),
        ) {
            let text = |map: &std::collections::BTreeMap<_, _>| {
                map.iter().map(|(n, v)| crate::option::config_line(n, v) + "\n").collect::<String>()
            };
            let a = Resolved::parse("a", &text(&a)).unwrap();
            let b = Resolved::parse("b", &text(&b)).unwrap();
            prop_assert!(diff(&a, &a).is_empty());
            prop_assert_eq!(a == b, diff(&a, &b).is_empty());
            let swapped: Vec<_> = diff(&b, &a)
                .into_iter()
                .map(|c| Change { name: c.name, before: c.after, after: c.before })
                .collect();
            prop_assert_eq!(diff(&a, &b), swapped);
        }
    }
}
