//! The engine with a real model: the file that `SEALSTONE_TEST_MODEL` names, which ci/engine makes. Without it these tests
//! say that they were skipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use std::path::PathBuf;

use sealstone_engine::backend::Backend as _;
use sealstone_engine::engine::Engine;
use sealstone_engine::llama::{Llama, Resources};
use sealstone_protocol::{
    Constraint, Done, Embed, Finish, Generate, LogitBias, Order, Prompt, Report, RequestId, Role, Salt, Sampling, Segment, Token,
    Tokenize, Turn,
};

/// llama.cpp starts once in a process, so all is one test.
#[test]
fn with_a_model() {
    let Some(file) = std::env::var_os("SEALSTONE_TEST_MODEL").map(PathBuf::from) else {
        println!("SKIPPED with_a_model: SEALSTONE_TEST_MODEL names no model; ci/engine makes one");
        return;
    };
    let llama = Llama::load(&file, Resources { threads: 1, cache: 1 << 30 }).unwrap();
    let facts = llama.facts("tiny");
    assert_eq!((facts.width, facts.sequences), (256, 8));
    let template = llama.template().unwrap();
    assert_eq!(template.end, "<|im_end|>");
    assert!(template.source.contains("im_start"));
    let mut engine = Engine::new(llama);
    the_template_writes_what_is_written_here(&mut engine);
    greedy_is_the_same_each_time_and_alone_or_not(&mut engine);
    the_cache_changes_nothing(&mut engine);
    prompts_matter(&mut engine);
    seeds_decide(&mut engine);
    logprobs_are_probabilities(&mut engine);
    grammars_hold(&mut engine);
    biases_and_stops(&mut engine);
    embeddings_have_length_one(&mut engine);
    tokens_come_back_as_text(&mut engine);
}

type Real = Engine<Llama>;

fn chat(id: u64, text: &str) -> Generate {
    let segment = |text: &str, special| Segment { text: text.into(), special };
    let segments =
        vec![segment("<|im_start|>user\n", true), segment(text, false), segment("<|im_end|>\n<|im_start|>assistant\n", true)];
    Generate {
        id: RequestId(id),
        salt: Salt([id as u8; 16]),
        prompt: Prompt::Text { segments, begin: true },
        max_tokens: 48,
        sampling: Sampling::GREEDY,
        constraint: Constraint::Free,
        stop: Vec::new(),
        logprobs: None,
        ignore_end: false,
    }
}

/// The same through the model's own template.
fn conversation(id: u64, text: &str) -> Generate {
    let turn = Turn { role: Role::User, name: None, content: text.into() };
    Generate { prompt: Prompt::Chat(vec![turn]), ..chat(id, text) }
}

fn run(engine: &mut Real, requests: Vec<Generate>) -> Vec<Report> {
    let mut out = Vec::new();
    for request in requests {
        engine.take(Order::Generate(Box::new(request)), &mut out);
    }
    while !engine.is_idle() {
        engine.step(&mut out);
    }
    out
}

fn tokens(reports: &[Report], wanted: u64) -> Vec<&Token> {
    fn of(report: &Report) -> Option<&Token> {
        if let Report::Token(token) = report { Some(token) } else { None }
    }
    reports.iter().filter_map(of).filter(|token| token.id.0 == wanted).collect()
}

fn reply(reports: &[Report], wanted: u64) -> (String, Done) {
    let done = reports.iter().find_map(|report| match report {
        Report::Done(done) if done.id.0 == wanted => Some(done.clone()),
        _ => None,
    });
    let done = done.unwrap_or_else(|| panic!("no end of {wanted} in {reports:?}"));
    let mut text: Vec<u8> = tokens(reports, wanted).iter().flat_map(|token| token.text.clone()).collect();
    text.extend(&done.text);
    (String::from_utf8_lossy(&text).into_owned(), done)
}

fn ask(engine: &mut Real, request: Generate) -> (String, Done) {
    let id = request.id.0;
    reply(&run(engine, vec![request]), id)
}

/// Token for token what the template is known to write, with people's text kept from naming tokens.
fn the_template_writes_what_is_written_here(engine: &mut Real) {
    let mut tokens = |prompt| {
        let mut out = Vec::new();
        engine.take(Order::Tokenize(Tokenize { id: RequestId(1), prompt }), &mut out);
        match out.pop() {
            Some(Report::Tokens(tokens)) => tokens.tokens,
            other => panic!("{other:?}"),
        }
    };
    for text in ["What is a stone?", "<|im_end|>"] {
        assert_eq!(tokens(conversation(1, text).prompt), tokens(chat(1, text).prompt), "{text}");
    }
}

fn greedy_is_the_same_each_time_and_alone_or_not(engine: &mut Real) {
    let (alone, done) = ask(engine, chat(1, "What is a stone?"));
    println!("{alone:?} {done:?}");
    assert!(alone.split(' ').count() > 4, "{alone}");
    let many: Vec<Generate> =
        (1..=6).map(|id| chat(id, if id == 3 { "What is a stone?" } else { "Tell me of the river" })).collect();
    let together = run(engine, many);
    assert_eq!(reply(&together, 3).0, alone);
    assert_eq!(reply(&together, 5).0, reply(&together, 6).0);
}

fn the_cache_changes_nothing(engine: &mut Real) {
    let (first, done) = ask(engine, chat(40, "Who keeps the seal?"));
    assert_eq!(done.usage.cached, 0);
    let (second, done) = ask(engine, Generate { id: RequestId(41), ..chat(40, "Who keeps the seal?") });
    assert_eq!(second, first);
    assert_eq!(done.usage.cached, done.usage.prompt - 1);
    let (_, done) = ask(engine, Generate { salt: Salt([99; 16]), ..chat(42, "Who keeps the seal?") });
    assert_eq!(done.usage.cached, 0, "another salt");
}

fn prompts_matter(engine: &mut Real) {
    let questions = ["What is a stone?", "Hello!", "Why?", "The river", "Who opens the gate in the morning?", "1+1"];
    let replies: std::collections::BTreeSet<String> =
        questions.iter().zip(50..).map(|(question, id)| ask(engine, chat(id, question)).0).collect();
    println!("{replies:#?}");
    assert!(replies.len() >= 4, "the model says the same to everything");
}

fn seeds_decide(engine: &mut Real) {
    let with = |seed, id| Generate {
        sampling: Sampling { temperature: 1.0, top_p: 0.95, top_k: 40, min_p: 0.01, seed, frequency: 0.5, ..Sampling::GREEDY },
        ..chat(id, "Hello")
    };
    let (first, _) = ask(engine, with(1, 60));
    assert_eq!(ask(engine, with(1, 61)).0, first);
    let others: Vec<String> = (2..8).map(|seed| ask(engine, with(seed, 60 + u64::from(seed))).0).collect();
    assert!(others.iter().any(|other| *other != first), "{first}");
}

fn logprobs_are_probabilities(engine: &mut Real) {
    let reports = run(engine, vec![Generate { logprobs: Some(20), max_tokens: 8, ..chat(70, "Hello") }]);
    let tokens = tokens(&reports, 70);
    assert!((3..=8).contains(&tokens.len()), "{}", tokens.len());
    for token in tokens {
        let logprobs = token.logprobs.as_ref().unwrap();
        assert_eq!(logprobs.top.len(), 20);
        assert_eq!(logprobs.top.first(), Some(&logprobs.chosen), "greedy takes the likeliest");
        assert!(logprobs.top.windows(2).all(|pair| matches!(pair, [a, b] if a.logprob >= b.logprob)));
        let sum: f32 = logprobs.top.iter().map(|a| a.logprob.exp()).sum();
        assert!(sum > 0.05 && sum < 1.001, "{sum}");
    }
}

fn grammars_hold(engine: &mut Real) {
    let schema = r#"{"type":"object","properties":{"name":{"type":"string","maxLength":12},"old":{"type":"boolean"},
        "size":{"enum":["small","large"]},"parts":{"type":"array","items":{"type":"integer"},"maxItems":3}},
        "required":["name","old","size","parts"],"additionalProperties":false}"#;
    for (id, temperature) in [(80, 0.0), (81, 1.0), (82, 2.0)] {
        let sampling = Sampling { temperature, seed: 5, ..Sampling::GREEDY };
        let constraint = Constraint::JsonSchema(schema.into());
        let (text, done) = ask(engine, Generate { sampling, constraint, max_tokens: 400, ..chat(id, "Describe it") });
        assert_eq!(done.finish, Finish::End, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(value["name"].is_string() && value["old"].is_boolean(), "{text}");
        assert!(["small", "large"].contains(&value["size"].as_str().unwrap()), "{text}");
        assert!(value["parts"].as_array().unwrap().iter().all(serde_json::Value::is_i64), "{text}");
        println!("{text}");
    }
    // A grammar that is nothing but itself: refused by llama.cpp, and nobody is hurt.
    let endless = r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}},"$ref":"#/$defs/a"}"##;
    let reports = run(engine, vec![Generate { constraint: Constraint::JsonSchema(endless.into()), ..chat(84, "x") }]);
    assert!(matches!(reports.as_slice(), [Report::Failed { .. }]), "{reports:?}");
}

fn biases_and_stops(engine: &mut Real) {
    let (text, _) = ask(engine, chat(90, "Hello"));
    let word = text.split(' ').nth(2).unwrap().to_owned();
    let (cut, done) = ask(engine, Generate { stop: vec![word.clone()], ..chat(91, "Hello") });
    assert_eq!(done.finish, Finish::Stop(0));
    assert!(text.starts_with(&cut) && !cut.contains(&word), "{text} | {cut}");

    let reports = run(engine, vec![Generate { logprobs: Some(0), max_tokens: 1, ..chat(92, "Hello") }]);
    let first = tokens(&reports, 92)[0].logprobs.as_ref().unwrap().chosen.token;
    let biases = vec![LogitBias { token: first, bias: -100.0 }];
    let sampling = Sampling { biases, ..Sampling::GREEDY };
    let reports = run(engine, vec![Generate { sampling, logprobs: Some(0), max_tokens: 8, ..chat(93, "Hello") }]);
    assert!(tokens(&reports, 93).iter().all(|token| token.logprobs.as_ref().unwrap().chosen.token != first));
}

fn embeddings_have_length_one(engine: &mut Real) {
    let mut embed = |id, text: &str| {
        let prompt = Prompt::Text { segments: vec![Segment { text: text.into(), special: false }], begin: true };
        let mut out = Vec::new();
        engine.take(Order::Embed(Embed { id: RequestId(id), prompt }), &mut out);
        engine.step(&mut out);
        match out.pop() {
            Some(Report::Embedding(embedding)) => embedding.vector,
            other => panic!("{other:?}"),
        }
    };
    let (a, again, b) = (embed(1, "the keeper"), embed(2, "the keeper"), embed(3, "apples and rivers"));
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert_eq!(a.len(), 256);
    assert_eq!(a, again);
    assert!((product(&a, &a) - 1.0).abs() < 1e-4);
    assert!(product(&a, &b) < 0.99);
}

fn tokens_come_back_as_text(engine: &mut Real) {
    let text = "Every byte: é 你好 \u{1f5ff}\t\"x\"\n";
    let mut out = Vec::new();
    let prompt = Prompt::Text { segments: vec![Segment { text: text.into(), special: false }], begin: false };
    engine.take(Order::Tokenize(Tokenize { id: RequestId(1), prompt }), &mut out);
    let Some(Report::Tokens(tokens)) = out.pop() else { panic!() };
    let back: Vec<u8> = tokens.tokens.iter().flat_map(|token| engine.backend().text(*token)).collect();
    assert_eq!(String::from_utf8(back).unwrap(), text);
}
