//! Every command that the how-tos and the workflow files show is one that the program takes; and the workflow has no more rights than it needs.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use serde_json::Value;

use super::Cli;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Words of a shell line up to a comment, a pipe or a redirection; quotes go, and a variable stays as it is written.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quote, mut inside) = (String::new(), None, false);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.push(c),
            (None, '"' | '\'') => (quote, inside) = (Some(c), true),
            (None, ' ') if inside => {
                words.push(std::mem::take(&mut word));
                inside = false;
            }
            (None, ' ') => {}
            (None, c) => {
                word.push(c);
                inside = true;
            }
        }
    }
    let end = words.iter().position(|word| ["#", "|", "||", "&&", "<"].contains(&word.as_str()) || word.contains('>'));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// The lines of a script that call the program.
fn calls(script: &str) -> Vec<Vec<String>> {
    let joined = script.replace("\\\n", " ");
    joined.lines().map(str::trim).filter(|line| line.starts_with("sealstone ")).map(words).collect()
}

#[track_caller]
fn taken(place: &str, call: &[String]) {
    // A digest that a page shortens.
    let whole = call.iter().map(|word| if word.ends_with('…') { "0".repeat(64) } else { word.clone() });
    if let Err(error) = Cli::try_parse_from(whole) {
        let shows = [clap::error::ErrorKind::DisplayHelp, clap::error::ErrorKind::DisplayVersion];
        assert!(shows.contains(&error.kind()), "{place}: {call:?}: {error}");
    }
}

#[test]
fn how_tos() {
    let mut files = vec![repository().join("README.md")];
    files.extend(fs::read_dir(repository().join("docs/howto")).unwrap().map(|entry| entry.unwrap().path()));
    let mut found = 0;
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for block in text.split("```sh\n").skip(1) {
            for call in calls(block.split("```").next().unwrap()) {
                taken(&file.display().to_string(), &call);
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found} commands");
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&fs::read_to_string(repository().join(name)).unwrap()).unwrap()
}

/// Every step of an action or a workflow.
fn steps(document: &Value) -> Vec<&Value> {
    let jobs = document["jobs"].as_object().into_iter().flat_map(|jobs| jobs.values().map(|job| &job["steps"]));
    jobs.chain([&document["runs"]["steps"]]).filter_map(Value::as_array).flatten().collect()
}

#[test]
fn workflow_files() {
    let (action, workflow) = (yaml("ci/action/action.yml"), yaml("ci/action/workflow.yml"));
    let mut found = 0;
    for step in steps(&action).into_iter().chain(steps(&workflow)) {
        for call in calls(step["run"].as_str().unwrap_or_default()) {
            taken("ci/action", &call);
            found += 1;
        }
        // An expression inside a script would be text of others that the shell reads.
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
        let Some(uses) = step["uses"].as_str() else { continue };
        let commit = uses.split_once('@').map(|(_, commit)| commit);
        assert!(
            commit.is_some_and(|c| c.len() == 40 && c.bytes().all(|b| b.is_ascii_hexdigit())),
            "{uses} is pinned to no commit"
        );
        if uses.contains("ci/action") {
            for input in step["with"].as_object().unwrap().keys() {
                assert!(action["inputs"][input].is_object(), "the action has no input {input}");
            }
        }
    }
    assert_eq!(found, 8, "commands in the workflow files");
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    for (name, job) in workflow["jobs"].as_object().unwrap() {
        let writes = job["permissions"].as_object().unwrap().values().any(|right| right != "read");
        assert!(!writes || name == "publish", "{name} may write");
    }
}

#[test]
fn words_of_a_line() {
    assert_eq!(words("sealstone pack \"a b\" --out 'c' # why"), ["sealstone", "pack", "a b", "--out", "c"]);
    assert_eq!(words("sealstone release log prove L >proof"), ["sealstone", "release", "log", "prove", "L"]);
}
