//! `measurements/head.json`: the digests of what a source tree builds, small enough to review in a change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::Output;
use crate::build::Built;
use crate::content::Content;
use crate::page::Page;

/// Digests of every file of the output folder, and of every output of every action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Files of the output folder.
    pub files: BTreeMap<String, Output>,
    /// What actions made: action → output → digest. Where a file differs, the action whose output differs comes first.
    pub stages: BTreeMap<String, BTreeMap<String, Output>>,
}

/// What `schema` says.
pub const SCHEMA: &str = "sealstone/head/v1";

impl Head {
    /// The digests of a finished build.
    pub fn of(built: &Built) -> Self {
        let digest = |data: &Content| Output { sha256: data.sha256(), size: data.len() as u64 };
        let packs = built.packs.iter().map(|(name, pack)| (name.clone(), Output { sha256: pack.sha256, size: pack.size }));
        Self {
            schema: SCHEMA.into(),
            files: built.files.iter().map(|(name, data)| (name.clone(), digest(data))).chain(packs).collect(),
            stages: built.stages.iter().map(|stage| (stage.name.clone(), stage.outputs.clone())).collect(),
        }
    }

    /// The digests of the verifier for browsers.
    pub fn of_page(page: &Page) -> Self {
        let digest = |data: &Content| Output { sha256: data.sha256(), size: data.len() as u64 };
        Self {
            schema: SCHEMA.into(),
            files: page.files.iter().map(|(name, data)| (name.clone(), digest(data))).collect(),
            stages: BTreeMap::from([(page.stage.name.clone(), page.stage.outputs.clone())]),
        }
    }

    /// Reads what [`Head::to_text`] wrote.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let head: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match head.schema.as_str() {
            SCHEMA => Ok(head),
            other => Err(format!("schema is {other:?}, not {SCHEMA:?}")),
        }
    }

    /// Pretty-printed JSON with a final newline.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// What differs, from `stage`s to `file`s, each with a sentence.
    pub fn differences(&self, found: &Head) -> BTreeMap<String, String> {
        let stages = |head: &Head| -> BTreeMap<String, Output> {
            let flat = |(action, outputs): (&String, &BTreeMap<String, Output>)| -> Vec<(String, Output)> {
                outputs.iter().map(|(name, output)| (format!("made by {action}, {name}"), output.clone())).collect()
            };
            head.stages.iter().flat_map(flat).collect()
        };
        let files = |head: &Head| head.files.iter().map(|(name, output)| (format!("file {name}"), output.clone())).collect();
        let mut all = compare(&stages(self), &stages(found));
        all.extend(compare(&files(self), &files(found)));
        all
    }
}

fn compare(expected: &BTreeMap<String, Output>, found: &BTreeMap<String, Output>) -> BTreeMap<String, String> {
    let names = expected.keys().chain(found.keys());
    let sentence = |name: &String| match (expected.get(name), found.get(name)) {
        (Some(a), Some(b)) if a == b => None,
        (Some(a), Some(b)) => Some(format!("expected {} ({} bytes), built {} ({} bytes)", a.sha256, a.size, b.sha256, b.size)),
        (Some(_), None) => Some("expected, but not built".to_string()),
        (None, _) => Some("built, but not expected".to_string()),
    };
    names.filter_map(|name| Some((name.clone(), sentence(name)?))).collect()
}

#[cfg(test)]
mod tests {
    use sealstone_spec::Sha256;

    use super::*;

    fn head(kernel: &[u8]) -> Head {
        let output = Output { sha256: Sha256::of(kernel), size: kernel.len() as u64 };
        Head {
            schema: SCHEMA.into(),
            files: BTreeMap::from([("vmlinuz".into(), output.clone())]),
            stages: BTreeMap::from([("kernel".into(), BTreeMap::from([("bzImage".into(), output)]))]),
        }
    }

    #[test]
    fn reads_back_and_refuses_others() {
        assert_eq!(Head::parse(&head(b"a").to_text()).unwrap(), head(b"a"));
        let other = head(b"a").to_text().replace("head/v1", "head/v2");
        assert!(Head::parse(&other).unwrap_err().contains("head/v2"));
        let unknown = head(b"a").to_text().replacen('{', "{\"new\": 1,", 1);
        assert!(Head::parse(&unknown).is_err());
    }

    #[test]
    fn names_what_differs() {
        assert!(head(b"a").differences(&head(b"a")).is_empty());
        let named: Vec<String> = head(b"a").differences(&head(b"bb")).into_keys().collect();
        assert_eq!(named, ["file vmlinuz", "made by kernel, bzImage"]);
        let mut less = head(b"a");
        less.stages.clear();
        assert_eq!(head(b"a").differences(&less)["made by kernel, bzImage"], "expected, but not built");
        assert_eq!(less.differences(&head(b"a"))["made by kernel, bzImage"], "built, but not expected");
    }
}
