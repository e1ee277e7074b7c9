//! `web/sealstone-verify.d.ts` against what the module really takes and gives.
//!
//! How it could fool: by types that are looser than the truth, or that nothing ever has. So every answer is checked member by member, unknown
//! members are refused, every member of a type must have been seen, and requests are compared with the list that the parser itself gives.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use sealstone_verify::json::answer;
use serde_json::{Value, json};

const TYPES: &str = include_str!("../../../web/sealstone-verify.d.ts");
const PIN: &str = include_str!("data/pin.json");
const EVIDENCE: &str = include_str!("data/evidence.json");
const NONCE: &str = include_str!("data/nonce");
const SOFTWARE_TPM: &str = "schema: sealstone/policy/v1\ntpm: {allow_unendorsed_key: true}\n";

/// Member → its type and whether it may be missing.
type Members = BTreeMap<String, (String, bool)>;

struct Types {
    interfaces: BTreeMap<String, Members>,
    aliases: BTreeMap<String, String>,
    seen: BTreeSet<String>,
}

impl Types {
    /// Reads the few forms of declaration that the file has.
    fn read() -> Self {
        let mut types = Self { interfaces: BTreeMap::new(), aliases: BTreeMap::new(), seen: BTreeSet::new() };
        let code: Vec<&str> = TYPES.lines().map(str::trim).filter(|line| !line.starts_with("/**")).collect();
        let mut lines = code.into_iter();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("export interface ").and_then(|rest| rest.strip_suffix(" {")) {
                let members = lines.by_ref().take_while(|line| *line != "}").filter_map(member).collect();
                types.interfaces.insert(name.into(), members);
            } else if let Some(name) = line.strip_prefix("export type ").and_then(|rest| rest.strip_suffix(" =")) {
                let mut words = String::new();
                for line in lines.by_ref() {
                    words.push_str(line);
                    if line.ends_with(';') {
                        break;
                    }
                }
                types.aliases.insert(name.into(), words.trim_end_matches(';').into());
            }
        }
        types
    }

    fn check(&mut self, path: &str, kind: &str, value: &Value) {
        let options: Vec<&str> = kind.split('|').map(str::trim).filter(|option| !option.is_empty()).collect();
        if let [only] = options.as_slice() {
            return self.check_one(path, only, value);
        }
        let fits = |option: &&str| match *option {
            "null" => value.is_null(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            literal => serde_json::from_str::<Value>(literal).is_ok_and(|literal| literal == *value),
        };
        assert!(options.iter().any(fits), "{path}: {value} is none of {kind}");
    }

    fn check_one(&mut self, path: &str, kind: &str, value: &Value) {
        if let Some(element) = kind.strip_suffix("[]") {
            let list = value.as_array().unwrap_or_else(|| panic!("{path}: {value} is no list"));
            return list.iter().for_each(|value| self.check(path, element, value));
        }
        if let Some(alias) = self.aliases.get(kind).cloned() {
            return self.check(path, &alias, value);
        }
        let Some(members) = self.interfaces.get(kind).cloned() else {
            let holds = match kind {
                "string" => value.is_string(),
                "number" => value.is_u64(),
                "boolean" => value.is_boolean(),
                literal => serde_json::from_str::<Value>(literal).is_ok_and(|literal| literal == *value),
            };
            return assert!(holds, "{path}: {value} is not {kind}");
        };
        let object = value.as_object().unwrap_or_else(|| panic!("{path}: {value} is no {kind}"));
        for name in object.keys() {
            assert!(members.contains_key(name), "{path}.{name}: {kind} has no such member");
        }
        for (name, (member, optional)) in &members {
            match object.get(name) {
                Some(value) => {
                    self.seen.insert(format!("{kind}.{name}"));
                    self.check(&format!("{path}.{name}"), member, value);
                }
                None => assert!(*optional, "{path}.{name} is missing"),
            }
        }
    }
}

fn member(line: &str) -> Option<(String, (String, bool))> {
    let (name, kind) = line.strip_suffix(';')?.split_once(": ")?;
    let required = name.trim_end_matches('?');
    Some((required.into(), (kind.into(), required != name)))
}

fn ask(question: &Value) -> Value {
    serde_json::from_str(&answer(question.to_string().as_bytes())).unwrap()
}

fn verify(changes: &Value) -> Value {
    let mut question = json!({"ask": "verify", "pin": PIN, "evidence": EVIDENCE, "at": 1_800_000_000});
    question.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    ask(&question)
}

#[test]
fn every_answer_is_of_its_type_and_every_member_of_a_type_is_answered() {
    let mut types = Types::read();
    let accepted = verify(&json!({"policy": SOFTWARE_TPM, "nonce": NONCE}));
    assert_eq!(accepted["verdict"]["accepted"], true, "{accepted}");
    let other_image = PIN.replace("\"version\": \"0.1.0\"", "\"version\": \"0.1.1\"");
    let release = json!({"ask": "verify_release", "files": {"pin.json": ""}, "notices": {}, "at": 0});
    let verdicts = [accepted, verify(&json!({})), verify(&json!({"pin": other_image})), ask(&release)];
    for (number, answer) in verdicts.iter().enumerate() {
        types.check(&format!("verdict {number}"), "Verdict", &answer["verdict"]);
        assert_eq!(answer.as_object().unwrap().len(), 1);
    }
    let codes: Vec<_> = verdicts.iter().map(|answer| answer["verdict"]["exit_code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [0, 12, 11, 10]);
    types.check("chain", "Chain", &ask(&json!({"ask": "explain", "pin": PIN}))["chain"]);

    let of_answers = ["Verdict", "Check", "Chain", "ImageName", "Profile", "BootEvent"];
    for (name, members) in types.interfaces.iter().filter(|(name, _)| of_answers.contains(&name.as_str())) {
        let unseen: Vec<_> = members.keys().filter(|member| !types.seen.contains(&format!("{name}.{member}"))).collect();
        assert!(unseen.is_empty(), "{name}: no answer had {unseen:?}");
    }
}

#[test]
fn every_error_names_a_document_of_the_type() {
    let mut types = Types::read();
    let words = types.aliases["DocumentName"].clone();
    let mut seen = BTreeSet::new();
    for (changes, document) in [
        (json!({"pin": "{}"}), "pin"),
        (json!({"evidence": "{}"}), "evidence"),
        (json!({"policy": "schema: x"}), "policy"),
        (json!({"nonce": "00"}), "nonce"),
        (json!({"at": u64::MAX}), "at"),
        (json!({"certificates": ""}), "certificates"),
        (json!({"revocation_list": ""}), "revocation_list"),
        (json!({"collateral": "{}"}), "collateral"),
        (json!({"more": 1}), "request"),
        (json!({"ask": "verify_snp", "more": 1}), "request"),
    ] {
        let error = &verify(&changes)["error"];
        assert_eq!(error["document"], document, "{changes}: {error}");
        types.check("document", &words, &error["document"]);
        seen.insert(document);
    }
    assert!(seen.len() > 8);
}

/// The parser's own words for what it knows: "unknown field `?`, expected one of `pin`, `evidence`…".
#[test]
fn requests_have_the_members_that_the_parser_knows() {
    let types = Types::read();
    for (ask_for, interface) in [
        ("verify", "VerifyRequest"),
        ("verify_snp", "VerifySnpRequest"),
        ("verify_tdx", "VerifyTdxRequest"),
        ("verify_release", "VerifyReleaseRequest"),
        ("explain", "ExplainRequest"),
    ] {
        let problem = ask(&json!({"ask": ask_for, "?": 1}))["error"]["problem"].as_str().unwrap().to_owned();
        let known: BTreeSet<&str> = problem.split('`').skip(3).step_by(2).collect();
        let declared: BTreeSet<&str> = types.interfaces[interface].keys().map(String::as_str).collect();
        assert_eq!(known, declared, "{interface}: {problem}");
        // What isn't marked optional is missed.
        for (name, (_, optional)) in &types.interfaces[interface] {
            let members = types.interfaces[interface].iter().filter(|(other, _)| *other != name);
            let mut question: serde_json::Map<String, Value> =
                members.map(|(name, (kind, _))| (name.clone(), sample(kind))).collect();
            question.insert("ask".into(), ask_for.into());
            let problem = ask(&question.into())["error"]["problem"].as_str().unwrap_or_default().to_owned();
            assert_eq!(problem.contains(&format!("missing field `{name}`")), !optional, "{interface}.{name}: {problem}");
        }
    }
}

fn sample(kind: &str) -> Value {
    match kind {
        "number" => 0.into(),
        "Record<string, string>" => json!({}),
        _ => "".into(),
    }
}
