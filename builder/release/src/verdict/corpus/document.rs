//! The evidence document and the configuration in it.

use serde_json::{Value, json};

use super::sample::text;
use super::tpm::Tpm;
use super::{Case, Expect};

pub(super) fn cases() -> Vec<Case> {
    let sample = Tpm::new();
    let good = sample.document(&sample.parts());
    let mut cases = Vec::new();
    let mut unreadable = |name: String, document: &str| {
        cases.push(Case { name, expect: Expect::Unreadable, found: sample.judge_text(document) });
    };
    let members: Vec<String> = good.as_object().unwrap().keys().cloned().collect();
    for member in &members {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(member);
        unreadable(format!("without {member}"), &text(&less));
        for (kind, value) in [("null", Value::Null), ("a number", json!(1)), ("a list", json!([good[member]]))] {
            let mut other = good.clone();
            other[member] = value;
            unreadable(format!("{member} is {kind}"), &text(&other));
        }
        let line = text(&good);
        unreadable(format!("{member} twice"), &format!("{{{}:{},{}", json!(member), good[member], &line[1..]));
    }
    for member in ["ak_public", "event_log", "quote", "signature"] {
        let own = good[member].as_str().unwrap();
        let damages = [
            ("with white space", format!("{own}\n")),
            ("without padding or cut", own[..own.len() - 1].to_owned()),
            ("with letters of the other alphabet", format!("-{}", &own[1..])),
        ];
        for (name, value) in damages {
            let mut other = good.clone();
            other[member] = value.into();
            unreadable(format!("{member} {name}"), &text(&other));
        }
    }
    let mut more = good.clone();
    more["more"] = "".into();
    unreadable("an unknown member".into(), &text(&more));
    for (member, values) in [("schema", ["sealstone/evidence/v2", "sealstone/pin/v1"]), ("tee", ["tpm", "tdx"])] {
        for value in values {
            let mut other = good.clone();
            other[member] = value.into();
            unreadable(format!("{member} {value}"), &text(&other));
        }
    }
    unreadable("with white space".into(), &format!("{good:#}"));
    unreadable("with a newline behind".into(), &format!("{}\n", text(&good)));
    unreadable("with another document behind".into(), &text(&good).repeat(2));
    unreadable("cut".into(), &text(&good)[..100]);
    unreadable("empty".into(), "");
    unreadable("a list".into(), "[]");
    unreadable("members in another order".into(), &{
        let line = text(&good);
        let (first, rest) = line[1..line.len() - 1].split_once(',').unwrap();
        format!("{{{rest},{first}}}")
    });
    unreadable("a letter escaped without need".into(), &text(&good).replace("\"tpm2\"", "\"tpm\\u0032\""));
    unreadable("longer than any evidence".into(), &format!("\"{}\"", "a".repeat(1 << 20)));
    cases.extend(configs());
    cases
}

/// The configuration: what can't be read, and what isn't the pin's.
fn configs() -> Vec<Case> {
    let sample = Tpm::new();
    let mut cases = Vec::new();
    let good = sample.document(&sample.parts());
    for (name, config) in [
        ("no JSON", "x".to_owned()),
        ("empty", String::new()),
        ("with white space", format!("{:#}", sample.config)),
        ("a member twice", text(&sample.config).replacen('{', "{\"attestation\":\"insecure\",", 1)),
        ("another schema", text(&sample.config).replace("config/v1", "config/v2")),
        ("another attestation", text(&sample.config).replace("required\",\"image", "optional\",\"image")),
        ("a root cut", text(&sample.config).replacen("\"root\":\"", "\"root\":\"0", 1)),
    ] {
        let mut other = good.clone();
        other["config"] = config.into();
        cases.push(Case { name: format!("config: {name}"), expect: Expect::Unreadable, found: sample.judge_text(&text(&other)) });
    }
    let mut changed = |name: &str, check, code, change: &dyn Fn(&mut Value)| {
        let mut sample = Tpm::new();
        change(&mut sample.config);
        cases.push(Case { name: format!("config: {name}"), expect: Expect::Refused(check, code), found: sample.judge() });
    };
    changed("insecure", "config.attestation", 12, &|config| config["attestation"] = "insecure".into());
    changed("another image", "config.image", 11, &|config| config["image"]["name"] = "other".into());
    changed("another version", "config.image", 11, &|config| config["image"]["version"] = "0.1.1".into());
    changed("no models", "config.models", 11, &|config| config["models"] = json!([]));
    changed("another model", "config.models", 11, &|config| config["models"][0]["root"] = "0".repeat(64).into());
    changed("another salt", "config.models", 11, &|config| config["models"][0]["salt"] = "0".repeat(64).into());
    changed("a model of another name", "config.models", 11, &|config| config["models"][0]["name"] = "big".into());
    changed("a model twice", "config.models", 11, &|config| {
        let model = config["models"][0].clone();
        config["models"].as_array_mut().unwrap().push(model);
    });
    let mut sample = Tpm::new();
    let mut altered = sample.document(&sample.parts());
    sample.config["network"]["port"] = 8081.into();
    altered["config"] = text(&sample.config).into();
    let found = sample.judge_text(&text(&altered));
    cases.push(Case { name: "config: altered on the way".into(), expect: Expect::Refused("binding", 12), found });
    cases
}
