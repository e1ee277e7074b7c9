//! Relationships between packages: Debian Policy, section 7.1.

use std::cmp::Ordering;
use std::fmt;

use sealstone_spec::{PackageName, Version};

/// One alternative of a dependency, or one entry of `Provides`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) name: PackageName,
    pub(super) constraint: Option<(Operator, Version)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

const OPERATORS: [(&str, Operator); 5] = [
    ("<<", Operator::Earlier),
    ("<=", Operator::EarlierOrEqual),
    ("=", Operator::Equal),
    (">=", Operator::LaterOrEqual),
    (">>", Operator::Later),
];

impl Operator {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Operator::Earlier => order == Ordering::Less,
            Operator::EarlierOrEqual => order != Ordering::Greater,
            Operator::Equal => order == Ordering::Equal,
            Operator::LaterOrEqual => order != Ordering::Less,
            Operator::Later => order == Ordering::Greater,
        }
    }
}

impl Relation {
    /// Whether a package of this name and version fulfils it.
    pub(super) fn allows(&self, version: &Version) -> bool {
        self.constraint.as_ref().is_none_or(|(operator, wanted)| operator.allows(version.compare(wanted)))
    }

    /// Whether an entry of `Provides` fulfils it: one without a version fulfils only a dependency without one.
    pub(super) fn allows_provided(&self, provided: &Relation) -> bool {
        self.name == provided.name
            && match (&self.constraint, &provided.constraint) {
                (None, _) => true,
                (Some(_), Some((Operator::Equal, version))) => self.allows(version),
                (Some(_), _) => false,
            }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        let Some((operator, version)) = &self.constraint else { return Ok(()) };
        let sign = OPERATORS.iter().find(|(_, known)| known == operator).map_or("", |(sign, _)| sign);
        write!(f, " ({sign} {version})")
    }
}

/// A field like `Depends`: all of the groups, one relation of each. `Err` is the part that can't be read.
pub(super) fn parse(field: &str) -> Result<Vec<Vec<Relation>>, String> {
    let groups = field.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(relation).collect()).collect()
}

/// `name`, `name:any`, `name (>= version)`.
fn relation(text: &str) -> Result<Relation, String> {
    let text = text.trim();
    let unreadable = || format!("`{text}` isn't a relationship");
    let (name, constraint) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => (name.trim_end(), Some(rest.strip_suffix(')').ok_or_else(unreadable)?.trim())),
    };
    // An architecture qualifier only matters where packages of several architectures are mixed, which no root does.
    let name = name.split_once(':').map_or(name, |(name, _)| name);
    let constraint = constraint.map(|text| {
        let (sign, version) = text.split_at(text.bytes().take_while(|byte| b"<>=".contains(byte)).count());
        let operator = OPERATORS.iter().find(|(known, _)| *known == sign).ok_or_else(unreadable)?.1;
        Ok::<_, String>((operator, version.trim().parse().map_err(|_| unreadable())?))
    });
    Ok(Relation { name: name.parse().map_err(|_| unreadable())?, constraint: constraint.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_written() {
        for (text, expected) in [
            ("", ""),
            ("libc6", "libc6"),
            ("libc6 (>= 2.36), libgcc-s1 (>= 3.0)", "libc6 (>= 2.36), libgcc-s1 (>= 3.0)"),
            ("a1|b1 (<<2) | c1:any(= 1:3-4)", "a1 | b1 (<< 2) | c1 (= 1:3-4)"),
            ("python3:any (>= 3.11~),", "python3 (>= 3.11~)"),
        ] {
            let groups = parse(text).unwrap();
            let shown: Vec<String> =
                groups.iter().map(|group| group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ")).collect();
            assert_eq!(shown.join(", "), expected);
        }
        for bad in
            ["a", "lib (> 1)", "lib (1)", "lib (>= 1", "lib (>= )", "lib [amd64]", "lib <!nocheck>", "x1 || y1", "lib (=> 1)"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn constraints() {
        let one = |text: &str| parse(text).unwrap()[0][0].clone();
        for (relation, version, allowed) in [
            ("aa", "1", true),
            ("aa (<< 2)", "1", true),
            ("aa (<< 2)", "2", false),
            ("aa (<= 2)", "2", true),
            ("aa (= 2)", "2.0", false),
            ("aa (= 2.0)", "2.00", true),
            ("aa (>= 2)", "2~rc1", false),
            ("aa (>> 2)", "2-1", true),
        ] {
            assert_eq!(one(relation).allows(&version.parse().unwrap()), allowed, "{version} for {relation}");
        }
        for (relation, provided, allowed) in [
            ("aa", "aa", true),
            ("aa", "bb", false),
            ("aa", "aa (= 1)", true),
            ("aa (>= 1)", "aa", false),
            ("aa (>= 1)", "aa (= 1)", true),
            ("aa (>= 2)", "aa (= 1)", false),
        ] {
            assert_eq!(one(relation).allows_provided(&one(provided)), allowed, "{provided} for {relation}");
        }
    }
}
