//! What a client accepts besides genuine evidence: a YAML file, every field of which has a safe default.
//!
//! YAML is read by `serde-saphyr` rather than by the spec's parser: verification must not import building. It refuses
//! unknown fields, repeated keys and wrong types with line and column, and bounds what aliases may grow to.

mod release;
mod snp;
mod tdx;
mod tpm;

pub use release::{RebuildPolicy, ReleasePolicy, WitnessPolicy};
pub use snp::{SnpPolicy, TcbFloor};
pub use tdx::{AcceptedStatus, TdxPolicy};
pub use tpm::{KeyName, Nonce, RootCertificate, TpmPolicy};

use serde::Deserialize;

/// Value of the field `schema`.
pub const SCHEMA: &str = "sealstone/policy/v1";

/// What a client accepts. `Policy::default()` is what holds without a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Accept images that may serve without evidence: builds for development. Default: no.
    pub allow_insecure: bool,
    /// Refuse evidence that is judged without a nonce or channel that it is bound to. Default: no; the verdict says it.
    pub require_binding: bool,
    /// For releases.
    pub release: ReleasePolicy,
    /// For SEV-SNP.
    pub snp: SnpPolicy,
    /// For TDX.
    pub tdx: TdxPolicy,
    /// For TPMs.
    pub tpm: TpmPolicy,
}

/// The policy file can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Not YAML, or a field is unknown, twice there, or of the wrong type.
    #[error("{file}: {why}")]
    Yaml {
        /// The file, as the caller calls it.
        file: String,
        /// What the parser says, with line and column.
        why: String,
    },
    /// The file is for another program or version.
    #[error("{file}: schema is `{found}`, expected `{SCHEMA}`")]
    Schema {
        /// The file, as the caller calls it.
        file: String,
        /// What stands there.
        found: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    #[serde(default)]
    allow_insecure: bool,
    #[serde(default)]
    require_binding: bool,
    #[serde(default)]
    release: ReleasePolicy,
    #[serde(default)]
    snp: SnpPolicy,
    #[serde(default)]
    tdx: TdxPolicy,
    #[serde(default)]
    tpm: TpmPolicy,
}

impl Policy {
    /// Reads a policy; `file` names it in errors.
    ///
    /// # Errors
    /// If it isn't YAML of the documented shape.
    pub fn parse(file: &str, text: &str) -> Result<Self, PolicyError> {
        let document: Document =
            serde_saphyr::from_str(text).map_err(|e| PolicyError::Yaml { file: file.to_owned(), why: e.to_string() })?;
        if document.schema != SCHEMA {
            return Err(PolicyError::Schema { file: file.to_owned(), found: document.schema });
        }
        let Document { schema: _, allow_insecure, require_binding, release, snp, tdx, tpm } = document;
        Ok(Self { allow_insecure, require_binding, release, snp, tdx, tpm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_read() {
        let zeros = "0".repeat(96);
        let text = format!(
            "schema: sealstone/policy/v1\nallow_insecure: true\nrequire_binding: true\n\
             snp:\n  products: [Milan, Genoa]\n  allow_debug: true\n  allow_migration: true\n  allow_smt: false\n  \
             allow_vlek: false\n  require_revocation_list: true\n  max_vmpl: 1\n  min_abi: [1, 55]\n  \
             min_tcb: {{fmc: 0, bootloader: 4, tee: 0, snp: 22, microcode: 213}}\n  \
             measurements: ['{zeros}']\n  report_data: '{zeros}{}'\n  host_data: '{}'\n  id_key_digests: ['{zeros}']\n  \
             author_key_digests: ['{zeros}']\n  chip_ids: ['{zeros}{}']\n\
             tdx:\n  accept_status: [UpToDate, SWHardeningNeeded, Unlisted]\n  min_evaluation_number: 17\n  \
             min_tcb_date: '2024-03-13T00:00:00Z'\n  mr_seam: ['{zeros}']\n  allow_debug: true\n  allow_migration: true\n  \
             allow_perfmon: true\n  require_sept_ve_disable: false\n  mr_td: ['{zeros}']\n  rtmr0: ['{zeros}']\n  \
             rtmr1: ['{zeros}']\n  rtmr2: ['{zeros}']\n  rtmr3: ['{zeros}']\n  mr_config_id: '{zeros}'\n  \
             mr_owner: '{zeros}'\n  mr_owner_config: '{zeros}'\n  report_data: '{zeros}{}'\n\
             tpm:\n  nonce: 00ff\n  pcrs: {{4: ['{}']}}\n  attestation_keys: ['000b{}']\n  \
             allow_unendorsed_key: true\n",
            "0".repeat(32),
            "0".repeat(64),
            "0".repeat(32),
            "0".repeat(32),
            "0".repeat(64),
            "0".repeat(64),
        );
        let policy = Policy::parse("p.yaml", &text).unwrap();
        assert!(policy.snp.allow_debug && !policy.snp.allow_smt && !policy.snp.allow_vlek && policy.snp.max_vmpl == 1);
        assert!(policy.snp.require_revocation_list);
        assert_eq!(policy.snp.min_tcb.microcode, 213);
        assert_eq!(policy.tdx.accept_status.len(), 3);
        assert!(policy.tdx.allow_perfmon && !policy.tdx.require_sept_ve_disable);
        assert_eq!(policy.tpm.nonce.unwrap().0, [0, 0xff]);
        assert!(policy.allow_insecure && policy.require_binding && policy.tpm.allow_unendorsed_key);
        assert_eq!(policy.tpm.attestation_keys[0].0.len(), 34);
    }

    #[test]
    fn a_file_without_sections_is_the_default() {
        assert_eq!(Policy::parse("p.yaml", "schema: sealstone/policy/v1\n"), Ok(Policy::default()));
        let default = Policy::default();
        assert!(!default.snp.allow_debug && !default.tdx.allow_debug && !default.snp.allow_migration);
        assert!(!default.snp.products.contains(&snp::ProductName::Milan));
        assert!(!default.allow_insecure && !default.tpm.allow_unendorsed_key && default.tpm.endorsement_roots.is_empty());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        let table = [
            ("", "p.yaml"),
            ("schema: sealstone/policy/v2\n", "sealstone/policy/v2"),
            ("schema: sealstone/policy/v1\nsnpp: {}\n", "snpp"),
            ("schema: sealstone/policy/v1\nsnp:\n  allow_dbg: true\n", "line 3"),
            ("schema: sealstone/policy/v1\nsnp:\n  allow_debug: maybe\n", "line 3"),
            ("schema: sealstone/policy/v1\nsnp:\n  allow_debug: true\n  allow_debug: true\n", "line 4"),
            ("schema: sealstone/policy/v1\nsnp:\n  products: [Rome]\n", "Rome"),
            ("schema: sealstone/policy/v1\nsnp:\n  host_data: '00'\n", "64 lower-case"),
            ("schema: sealstone/policy/v1\ntdx:\n  accept_status: [Fine]\n", "Fine"),
            ("schema: sealstone/policy/v1\ntpm:\n  attestation_keys: ['000b00']\n", "64 digits"),
            ("schema: sealstone/policy/v1\ntpm:\n  attestation_keys: ['0004{40 digits}']\n", "64 digits"),
            ("schema: sealstone/policy/v1\ntpm:\n  attestation_roots: ['x']\n", "line 3"),
            ("schema: sealstone/policy/v1\ntpm:\n  endorsement_roots: ['x']\n", "line 3"),
            ("schema: sealstone/policy/v1\n---\nschema: sealstone/policy/v1\n", "p.yaml"),
        ];
        for (text, expected) in table {
            let error = Policy::parse("p.yaml", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }
}
