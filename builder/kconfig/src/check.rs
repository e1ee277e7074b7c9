//! Was every request granted?

use std::fmt;

use crate::merged::{Merged, places};
use crate::option::{OptionName, Value};
use crate::resolved::Resolved;

/// Compares what was asked for with what Kconfig decided, in the order of names. Empty means that
/// every request was granted. Asking for `n` is granted by silence, too.
#[must_use]
pub fn check(merged: &Merged, resolved: &Resolved) -> Vec<Unmet> {
    merged
        .iter()
        .filter_map(|(name, wanted)| {
            let cause = cause(&wanted.value, resolved.value(name))?;
            Some(Unmet {
                name: name.clone(),
                asked: wanted.value.clone(),
                got: resolved.value(name).cloned(),
                asked_by: places(&wanted.origins),
                cause,
            })
        })
        .collect()
}

fn cause(asked: &Value, got: Option<&Value>) -> Option<UnmetCause> {
    match (asked, got) {
        (Value::No, None) => None,
        (asked, Some(got)) if asked == got => None,
        (_, None) => Some(UnmetCause::Hidden),
        (Value::No, Some(got)) if got.is_on() => Some(UnmetCause::Forced),
        (Value::Yes, Some(Value::No)) => Some(UnmetCause::Refused),
        (_, Some(_)) => Some(UnmetCause::OtherValue),
    }
}

/// A request that wasn't granted. The kernel isn't the one that the fragments describe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unmet {
    /// Which option.
    pub name: OptionName,
    /// What the fragments say.
    pub asked: Value,
    /// What the resolved configuration says; `None` if it doesn't mention the option.
    pub got: Option<Value>,
    /// `file:line` of every fragment that asks.
    pub asked_by: String,
    /// What Kconfig's answer says about why.
    pub cause: UnmetCause,
}

/// Why a request is usually not granted, judged by the form of the answer: Kconfig mentions an
/// option exactly when its dependencies are met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnmetCause {
    /// The option isn't mentioned: it doesn't exist, or a dependency is missing.
    Hidden,
    /// The option could have been set but wasn't: another one of its choice was, or the resolved
    /// configuration is older than the request.
    Refused,
    /// Asked for `n`, but another option selects it or it has no prompt.
    Forced,
    /// A number or string out of range, or a resolved configuration older than the request.
    OtherValue,
}

impl fmt::Display for UnmetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => {
                "this kernel has no such option, or something it depends on is off: look at \
                 `depends on` in its Kconfig entry, and ask for that, too"
            }
            Self::Refused => {
                "another option of the same choice won, or resolved.config wasn't made from these \
                 fragments: drop one, or resolve again"
            }
            Self::Forced => {
                "another option selects it, or it can't be switched off: drop the request, or \
                 whatever selects it"
            }
            Self::OtherValue => {
                "the value is out of its range, or resolved.config wasn't made from these \
                 fragments: correct it, or resolve again"
            }
        })
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was asked to be {} ({}) but ", self.name, self.asked, self.asked_by)?;
        match &self.got {
            Some(got) => write!(f, "is {got}: {}", self.cause),
            None => write!(f, "isn't there: {}", self.cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fragment::Fragment;

    #[test]
    fn each_way_of_not_getting_what_was_asked() {
        // (asked, resolved line, cause)
        let cases = [
            ("y", "CONFIG_X=y", None),
            ("n", "# CONFIG_X is not set", None),
            ("n", "", None),
            ("3", "CONFIG_X=3", None),
            ("\"\"", "CONFIG_X=\"\"", None),
            ("y", "", Some(UnmetCause::Hidden)),
            ("3", "", Some(UnmetCause::Hidden)),
            ("\"\"", "", Some(UnmetCause::Hidden)),
            ("y", "# CONFIG_X is not set", Some(UnmetCause::Refused)),
            ("n", "CONFIG_X=y", Some(UnmetCause::Forced)),
            ("n", "CONFIG_X=m", Some(UnmetCause::Forced)),
            ("y", "CONFIG_X=m", Some(UnmetCause::OtherValue)),
            ("3", "CONFIG_X=2", Some(UnmetCause::OtherValue)),
            ("0x3", "CONFIG_X=3", Some(UnmetCause::OtherValue)),
            ("\"a\"", "CONFIG_X=\"b\"", Some(UnmetCause::OtherValue)),
        ];
        for (asked, line, cause) in cases {
            let fragment = Fragment::parse("f", &format!("#: r\nCONFIG_X={asked}\n")).unwrap();
            let merged = Merged::of(&[fragment]).unwrap();
            let resolved = Resolved::parse("c", line).unwrap();
            let unmet = check(&merged, &resolved);
            assert_eq!(unmet.iter().map(|u| u.cause).collect::<Vec<_>>(), Vec::from_iter(cause), "{asked} {line}");
        }
    }

    #[test]
    fn the_message_says_who_asked_and_what_to_do() {
        let fragment = Fragment::parse("f.config", "#: r\nCONFIG_X=y\n").unwrap();
        let merged = Merged::of(&[fragment]).unwrap();
        let unmet = check(&merged, &Resolved::default());
        let message = unmet[0].to_string();
        assert!(
            message.starts_with("CONFIG_X was asked to be y (f.config:2) but isn't there: ") && message.contains("depends on"),
            "{message}"
        );
    }
}
