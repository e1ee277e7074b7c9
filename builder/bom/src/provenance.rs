//! Every input of a build and what each step made of them: in-toto Statement v1 with a SLSA v1 provenance predicate.
//!
//! The fields are described in `docs/formats/provenance.md`. Sources: in-toto Attestation Framework, `spec/v1/statement.md` and
//! `resource_descriptor.md`; SLSA 1.0, "Provenance".

use std::collections::{BTreeMap, BTreeSet};

use sealstone_spec::Sha256;
use serde::{Deserialize, Serialize};

use crate::BomError;

/// The statement's name in the output folder.
pub const FILE: &str = "provenance.json";

/// What `_type` says.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What `predicateType` says.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What `buildType` says: how to read the parameters, and how the outputs follow from the inputs.
pub const BUILD_TYPE: &str = "sealstone:build/v1";
/// What `builder.id` says. It names the program, not a machine: what it makes doesn't depend on where it runs.
pub const BUILDER: &str = "sealstone:builder/v1";

/// Longer statements are refused unread. That of the default image has about 200 KB.
const MAX_TEXT: usize = 32 << 20;

/// A provenance statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Files of the output folder, by name.
    pub subject: Vec<Resource>,
    /// Always [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said of them.
    pub predicate: Predicate,
}

/// How the subjects were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// From what.
    pub build_definition: BuildDefinition,
    /// By whom.
    pub run_details: RunDetails,
}

/// Everything that goes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// Always [`BUILD_TYPE`].
    pub build_type: String,
    /// What whoever builds chooses.
    pub external_parameters: ExternalParameters,
    /// Every input by digest, sorted by name.
    pub resolved_dependencies: Vec<Resource>,
}

/// What whoever builds chooses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalParameters {
    /// The spec's path in the source archive.
    pub spec: String,
}

/// Who built, and what came out on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunDetails {
    /// The builder.
    pub builder: BuilderId,
    /// Outputs of actions, `<action>/<output>`.
    pub byproducts: Vec<Resource>,
}

/// The builder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuilderId {
    /// Always [`BUILDER`].
    pub id: String,
    /// Versions of its components, by name.
    pub version: BTreeMap<String, String>,
}

/// Something with a name and a digest: in-toto's `ResourceDescriptor`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Resource {
    /// Unique within its list.
    pub name: String,
    /// Its package URL, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Digests by algorithm.
    pub digest: Digests,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// The digests of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digests {
    /// SHA-256.
    pub sha256: Sha256,
}

/// What sealstone says of a resource besides its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Annotations {
    /// Of an input: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Of an input: the actions that it goes into; `assembly` is the step that puts the image together.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub used_by: BTreeSet<String>,
    /// Of a byproduct: the key of the action that made it, the digest of everything that went in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sha256>,
}

impl Annotations {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A Debian package of the root that actions run in.
    Package,
    /// A file of a source package.
    Source,
    /// A crate of the registry.
    Crate,
    /// A file of the source tree, which `source.tar` holds.
    File,
    /// The script that an action runs. It is part of the builder.
    Recipe,
}

/// The step that puts the image together from what the actions made.
pub const ASSEMBLY: &str = "assembly";

impl Provenance {
    /// A statement that `subject` was made from `inputs` by a builder of `version`, with `byproducts` on the way.
    pub fn new(
        spec: String,
        version: &str,
        mut subject: Vec<Resource>,
        mut inputs: Vec<Resource>,
        mut byproducts: Vec<Resource>,
    ) -> Self {
        for list in [&mut subject, &mut inputs, &mut byproducts] {
            list.sort();
        }
        Self {
            kind: STATEMENT_TYPE.into(),
            subject,
            predicate_type: PREDICATE_TYPE.into(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.into(),
                    external_parameters: ExternalParameters { spec },
                    resolved_dependencies: inputs,
                },
                run_details: RunDetails {
                    builder: BuilderId {
                        id: BUILDER.into(),
                        version: BTreeMap::from([("sealstone".to_string(), version.to_string())]),
                    },
                    byproducts,
                },
            },
        }
    }

    /// Reads a statement. Fields that it doesn't know are passed over, as in-toto asks of readers.
    ///
    /// # Errors
    /// [`BomError::Provenance`] for another kind of statement, or a list that names something twice.
    pub fn parse(text: &str) -> Result<Self, BomError> {
        let refuse = BomError::Provenance;
        if text.len() > MAX_TEXT {
            return Err(refuse(format!("it has {} bytes, more than the {MAX_TEXT} that are read", text.len())));
        }
        let statement: Self = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
        let definition = &statement.predicate.build_definition;
        for (field, found, expected) in [
            ("_type", &statement.kind, STATEMENT_TYPE),
            ("predicateType", &statement.predicate_type, PREDICATE_TYPE),
            ("buildType", &definition.build_type, BUILD_TYPE),
        ] {
            if found != expected {
                return Err(refuse(format!("{field} is {found:?}, not {expected:?}")));
            }
        }
        for list in [&statement.subject, &definition.resolved_dependencies, &statement.predicate.run_details.byproducts] {
            let mut seen = BTreeSet::new();
            if let Some(twice) = list.iter().find(|resource| !seen.insert(&resource.name)) {
                return Err(refuse(format!("{} is listed twice", twice.name)));
            }
        }
        Ok(statement)
    }

    /// The one text of the statement: indented, keys sorted, with a final newline.
    pub fn to_text(&self) -> String {
        // Everything in it is a string, list or map with string keys, so there is nothing that could fail.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value.sort_all_objects();
        format!("{value:#}\n")
    }

    /// The inputs.
    pub fn inputs(&self) -> &[Resource] {
        &self.predicate.build_definition.resolved_dependencies
    }

    /// The outputs of actions.
    pub fn byproducts(&self) -> &[Resource] {
        &self.predicate.run_details.byproducts
    }
}

impl Resource {
    /// A file by its bytes.
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self::with(name, Sha256::of(bytes))
    }

    /// Something by its digest.
    pub fn with(name: impl Into<String>, sha256: Sha256) -> Self {
        Self { name: name.into(), uri: None, digest: Digests { sha256 }, annotations: Annotations::default() }
    }

    /// The same as an input of some actions.
    #[must_use]
    pub fn used(mut self, role: Role, by: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.annotations.role = Some(role);
        self.annotations.used_by = by.into_iter().map(Into::into).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Provenance {
        let inputs = vec![
            Resource::of("file/b", b"b").used(Role::File, ["kernel"]),
            Resource { uri: Some("pkg:cargo/a@1".into()), ..Resource::of("crate/a 1", b"a").used(Role::Crate, ["userland"]) },
        ];
        let mut made = Resource::of("kernel/bzImage", b"k");
        made.annotations.key = Some(Sha256::of(b"key"));
        Provenance::new("image/x.yaml".into(), "0.1.0", vec![Resource::of("vmlinuz", b"k")], inputs, vec![made])
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let text = sample().to_text();
        let again = Provenance::parse(&text).unwrap();
        assert_eq!(again, sample());
        assert_eq!(again.to_text(), text);
        assert!(again.inputs()[0].name < again.inputs()[1].name, "sorted whatever the order they were given in");
    }

    #[test]
    fn others_are_refused_and_unknown_fields_passed_over() {
        let text = sample().to_text();
        for (from, to, says) in [
            (STATEMENT_TYPE, "https://in-toto.io/Statement/v0.1", "_type"),
            (PREDICATE_TYPE, "https://slsa.dev/provenance/v0.2", "predicateType"),
            (BUILD_TYPE, "urn:other", "buildType"),
            ("\"file/b\"", "\"crate/a 1\"", "listed twice"),
        ] {
            assert!(text.contains(from));
            let error = Provenance::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let more = text.replacen("\"subject\"", "\"new\": 1, \"subject\"", 1);
        assert_eq!(Provenance::parse(&more).unwrap(), sample());
    }
}
