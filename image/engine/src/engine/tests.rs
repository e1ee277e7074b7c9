//! The order of things, with a backend that shows what it was asked to compute.

use sealstone_protocol::{Logprobs, Role, Sampling, Segment, Tokenize, Turn};

use super::*;
use crate::backend::{Broken, Shape};
use crate::template::Template;

/// Says one more than the sum of what its sequence holds, so that a mixed-up or lost token changes everything behind it.
/// Tokens are bytes; 0 ends a reply.
struct Adder {
    shape: Shape,
    sequences: Vec<Vec<u32>>,
    rows: Vec<Option<u32>>,
    batches: Vec<Vec<Entry>>,
    /// Fails at this computation.
    breaks_at: Option<usize>,
    template: Option<Template>,
    /// Can only forget everything.
    forgets_all: bool,
}

const SHAPE: Shape = Shape { context: 64, sequences: 2, batch: 16, vocabulary: 128, width: 3, embedding: 8, generates: true };

impl Adder {
    fn new() -> Adder {
        let sequences = vec![Vec::new(); SHAPE.sequences as usize];
        Adder {
            shape: SHAPE,
            sequences,
            rows: Vec::new(),
            batches: Vec::new(),
            breaks_at: None,
            template: None,
            forgets_all: false,
        }
    }

    fn after(tokens: &[u32]) -> u32 {
        (tokens.iter().sum::<u32>() + 1) % SHAPE.vocabulary
    }
}

impl Backend for Adder {
    type Chooser = Vec<u32>;

    fn shape(&self) -> Shape {
        self.shape
    }

    fn begin(&self) -> Option<u32> {
        Some(1)
    }

    fn end(&self) -> Option<u32> {
        Some(2)
    }

    fn tokenize(&self, text: &str, special: bool) -> Vec<u32> {
        if special && text == "<end>" { vec![0] } else { text.bytes().map(u32::from).collect() }
    }

    fn template(&self) -> Option<&Template> {
        self.template.as_ref()
    }

    fn text(&self, token: u32) -> Vec<u8> {
        vec![token as u8]
    }

    fn ends(&self, token: u32) -> bool {
        token == 0
    }

    fn chooser(&self, _: &Sampling, grammar: Option<&str>) -> Option<Vec<u32>> {
        (grammar != Some("impossible")).then(Vec::new)
    }

    fn compute(&mut self, batch: &[Entry]) -> Result<(), Broken> {
        assert!(!batch.is_empty() && batch.len() <= self.shape.batch as usize, "{} entries", batch.len());
        self.batches.push(batch.to_vec());
        if self.breaks_at == Some(self.batches.len()) {
            return Err(Broken);
        }
        self.rows.clear();
        for entry in batch {
            let holds = &mut self.sequences[entry.sequence as usize];
            assert_eq!(entry.position as usize, holds.len(), "a gap in sequence {}", entry.sequence);
            assert!(holds.len() < self.shape.context as usize);
            holds.push(entry.token);
            self.rows.push(entry.output.then(|| Adder::after(holds)));
        }
        Ok(())
    }

    fn choose(&mut self, row: usize, chooser: &mut Vec<u32>) -> Option<u32> {
        let token = self.rows[row].expect("a row without output");
        chooser.push(token);
        Some(token)
    }

    fn logprobs(&self, _: usize, token: u32, _: u32) -> Option<Logprobs> {
        let chosen = sealstone_protocol::Alternative { token, text: self.text(token), logprob: 0.0 };
        Some(Logprobs { chosen, top: Vec::new() })
    }

    fn forget(&mut self, sequence: u32, from: u32) -> bool {
        let holds = &mut self.sequences[sequence as usize];
        if self.forgets_all && from > 0 && holds.len() > from as usize {
            return false;
        }
        holds.truncate(from as usize);
        true
    }

    fn embed(&mut self, tokens: &[u32]) -> Result<Vec<f32>, Broken> {
        let last = tokens.last().copied().unwrap_or(0);
        Ok(vec![tokens.len() as f32, 0.0, if tokens.len() > 1 { last as f32 } else { 0.0 }])
    }
}

fn request(id: u64, salt: u8, tokens: Vec<u32>, max_tokens: u32) -> Generate {
    Generate {
        id: RequestId(id),
        salt: Salt([salt; 16]),
        prompt: Prompt::Tokens(tokens),
        max_tokens,
        sampling: Sampling::GREEDY,
        constraint: Constraint::Free,
        stop: Vec::new(),
        logprobs: None,
        ignore_end: false,
    }
}

/// What the backend says behind `prompt`, without an engine.
fn expected(prompt: &[u32], most: usize) -> Vec<u8> {
    let mut tokens = prompt.to_vec();
    let mut said = Vec::new();
    while said.len() < most && tokens.len() < SHAPE.context as usize {
        let next = Adder::after(&tokens);
        if next == 0 {
            break;
        }
        said.push(next as u8);
        tokens.push(next);
    }
    if tokens.len() == SHAPE.context as usize && said.len() < most {
        // The last token can still be chosen, without being computed.
        said.push(Adder::after(&tokens) as u8);
    }
    said
}

fn give(engine: &mut Engine<Adder>, request: Generate) -> Vec<Report> {
    let mut out = Vec::new();
    engine.take(Order::Generate(Box::new(request)), &mut out);
    out
}

fn finish(engine: &mut Engine<Adder>) -> Vec<Report> {
    let mut out = Vec::new();
    for _ in 0..1000 {
        if engine.is_idle() {
            return out;
        }
        engine.step(&mut out);
    }
    panic!("it goes on and on");
}

/// The text of one reply, and its end.
fn reply(reports: &[Report], wanted: u64) -> (Vec<u8>, Option<Done>) {
    let mut text = Vec::new();
    let mut end = None;
    for report in reports {
        match report {
            Report::Token(token) if token.id.0 == wanted => {
                assert!(end.is_none(), "a token behind the end");
                text.extend(&token.text);
            }
            Report::Done(done) if done.id.0 == wanted => {
                assert!(end.is_none(), "two ends");
                text.extend(&done.text);
                end = Some(done.clone());
            }
            _ => {}
        }
    }
    (text, end)
}

#[test]
fn many_requests_are_each_answered_as_if_alone() {
    let mut engine = Engine::new(Adder::new());
    let prompts: Vec<Vec<u32>> = (1..=9).map(|n| (0..n * 5).map(|i| (i * n + 3) % 100).collect()).collect();
    let mut out = Vec::new();
    for (id, prompt) in prompts.iter().enumerate() {
        out.extend(give(&mut engine, request(id as u64, id as u8, prompt.clone(), 20)));
        engine.step(&mut out);
    }
    out.extend(finish(&mut engine));
    for (id, prompt) in prompts.iter().enumerate() {
        let (text, done) = reply(&out, id as u64);
        let mut expected = expected(prompt, 20);
        let done = done.unwrap();
        if done.finish == Finish::End {
            assert_eq!(done.usage.reply as usize, expected.len() + 1);
        }
        expected.retain(|byte| byte.is_ascii());
        assert_eq!(text, expected, "request {id}");
        assert_eq!(done.usage.prompt as usize, prompt.len());
    }
    let mixed = engine.backend.batches.iter().filter(|b| b.iter().any(|e| e.sequence == 0) && b.iter().any(|e| e.sequence == 1));
    assert!(mixed.count() > 5, "two sequences in one batch");
    assert!(engine.backend.batches.iter().any(|b| b.len() == SHAPE.batch as usize), "long prompts come in pieces");
}

#[test]
fn a_prefix_is_reused_with_the_same_salt_only() {
    for (second_salt, forgets_all, cached) in [(1, false, 20), (2, false, 0), (1, true, 0)] {
        let mut engine = Engine::new(Adder { forgets_all, ..Adder::new() });
        let prompt: Vec<u32> = (0..21).collect();
        give(&mut engine, request(1, 1, prompt.clone(), 4));
        let first = finish(&mut engine);
        give(&mut engine, request(2, second_salt, prompt.clone(), 4));
        let second = finish(&mut engine);
        let (text, done) = reply(&second, 2);
        assert_eq!(text, reply(&first, 1).0, "the same reply");
        assert_eq!(done.unwrap().usage.cached, cached, "salt {second_salt}, forgets_all {forgets_all}");
    }
}

#[test]
fn a_conversation_goes_on_where_it_was_computed() {
    let mut engine = Engine::new(Adder::new());
    let mut prompt: Vec<u32> = (1..11).collect();
    give(&mut engine, request(1, 7, prompt.clone(), 5));
    let (text, _) = reply(&finish(&mut engine), 1);
    prompt.extend(text.iter().map(|byte| u32::from(*byte)));
    prompt.extend([50, 51]);
    give(&mut engine, request(2, 7, prompt.clone(), 5));
    let (text, done) = reply(&finish(&mut engine), 2);
    assert_eq!(text, expected(&prompt, 5));
    assert_eq!(done.unwrap().usage.cached, 14, "prompt and reply but for its last token, which was never computed");
}

#[test]
fn replies_end() {
    let mut engine = Engine::new(Adder::new());
    let text = expected(&[5], 10);
    let stop = String::from_utf8(text[2..4].to_vec()).unwrap();
    give(&mut engine, Generate { stop: vec!["never".into(), stop], ..request(1, 0, vec![5], 10) });
    let (said, done) = reply(&finish(&mut engine), 1);
    assert_eq!((said, done.unwrap().finish), (text[..2].to_vec(), Finish::Stop(1)));

    give(&mut engine, request(2, 0, vec![5], 3));
    let (said, done) = reply(&finish(&mut engine), 2);
    assert_eq!((said, done.unwrap().finish), (text[..3].to_vec(), Finish::Length));

    // 127 and one more is 128: the end.
    give(&mut engine, request(3, 0, vec![127], 10));
    let (said, done) = reply(&finish(&mut engine), 3);
    assert_eq!((said, done.as_ref().unwrap().finish), (vec![], Finish::End));
    assert_eq!(done.unwrap().usage, Usage { prompt: 1, cached: 0, reply: 1 });

    give(&mut engine, Generate { ignore_end: true, logprobs: Some(0), ..request(4, 0, vec![127], 3) });
    let reports = finish(&mut engine);
    assert_eq!(reports.iter().filter(|r| matches!(r, Report::Token(t) if t.logprobs.is_some())).count(), 3);
    assert_eq!(reply(&reports, 4).1.unwrap().finish, Finish::Length);

    let long: Vec<u32> = vec![2; SHAPE.context as usize - 1];
    give(&mut engine, request(5, 0, long, 100));
    let (_, done) = reply(&finish(&mut engine), 5);
    let done = done.unwrap();
    assert_eq!((done.finish, done.usage.reply), (Finish::Length, 2), "the context is full");
}

#[test]
fn what_cant_be_answered_is_refused() {
    let mut engine = Engine::new(Adder::new());
    let table: Vec<(Failure, Generate)> = vec![
        (Failure::Empty, request(1, 0, vec![], 1)),
        (Failure::TooLong, request(1, 0, vec![1; SHAPE.context as usize], 1)),
        (Failure::UnknownToken, request(1, 0, vec![SHAPE.vocabulary], 1)),
        (Failure::Schema, Generate { constraint: Constraint::JsonSchema("{".into()), ..request(1, 0, vec![1], 1) }),
        (
            Failure::Schema,
            Generate { constraint: Constraint::JsonSchema("{\"pattern\":\"x\"}".into()), ..request(1, 0, vec![1], 1) },
        ),
    ];
    for (failure, request) in table {
        assert_eq!(give(&mut engine, request), [Report::Failed { id: RequestId(1), failure }]);
        assert!(engine.is_idle());
    }
    assert_eq!(give(&mut engine, request(9, 0, vec![1], 5)), []);
    assert_eq!(give(&mut engine, request(9, 0, vec![1], 5)), [Report::Failed { id: RequestId(9), failure: Failure::Duplicate }]);
    for id in 10..10 + WAITING as u64 - 1 {
        assert_eq!(give(&mut engine, request(id, 0, vec![1], 1)), []);
    }
    assert_eq!(give(&mut engine, request(5000, 0, vec![1], 1)), [Report::Failed { id: RequestId(5000), failure: Failure::Busy }]);
    let ends = finish(&mut engine).iter().filter(|report| matches!(report, Report::Done(_))).count();
    assert_eq!(ends, WAITING);
}

#[test]
fn cancelling_frees_the_sequence_and_answers_once() {
    let mut engine = Engine::new(Adder::new());
    for id in 1..=3 {
        give(&mut engine, request(id, 0, vec![id as u32], 50));
    }
    engine.take(Order::Embed(Embed { id: RequestId(4), prompt: Prompt::Tokens(vec![1]) }), &mut Vec::new());
    engine.take(Order::Embed(Embed { id: RequestId(5), prompt: Prompt::Tokens(vec![1]) }), &mut Vec::new());
    let mut out = Vec::new();
    engine.step(&mut out);
    for id in [1, 3, 5, 77] {
        engine.take(Order::Cancel(RequestId(id)), &mut out);
    }
    assert_eq!(engine.slots.iter().filter(|slot| slot.run.is_some()).count(), 1);
    out.extend(finish(&mut engine));
    assert_eq!(reply(&out, 1).1.unwrap().finish, Finish::Cancelled);
    assert_eq!(reply(&out, 3).1.unwrap().finish, Finish::Cancelled);
    assert_eq!(reply(&out, 2).0, expected(&[2], 50));
    assert!(out.contains(&Report::Failed { id: RequestId(5), failure: Failure::Cancelled }));
    assert!(out.contains(&Report::Embedding(Embedding { id: RequestId(4), vector: vec![1.0, 0.0, 0.0], tokens: 1 })));
    // What was cancelled may be asked again under the same name.
    assert_eq!(give(&mut engine, request(1, 0, vec![1], 2)), []);
    assert_eq!(reply(&finish(&mut engine), 1).0, expected(&[1], 2));
}

#[test]
fn a_failed_computation_fails_those_under_way_and_no_others() {
    let mut engine = Engine::new(Adder { breaks_at: Some(3), ..Adder::new() });
    for id in 1..=3 {
        give(&mut engine, request(id, 0, vec![id as u32; 10], 8));
    }
    let out = finish(&mut engine);
    for id in [1, 2] {
        assert!(out.contains(&Report::Failed { id: RequestId(id), failure: Failure::Internal }), "{id}");
    }
    assert_eq!(reply(&out, 3).0, expected(&[3; 10], 8));
}

#[test]
fn people_cant_write_special_tokens() {
    let mut engine = Engine::new(Adder::new());
    let segment = |text: &str, special| Segment { text: text.into(), special };
    let prompt =
        Prompt::Text { segments: vec![segment("a", true), segment("<end>", false), segment("<end>", true)], begin: true };
    let mut out = Vec::new();
    engine.take(Order::Tokenize(Tokenize { id: RequestId(1), prompt }), &mut out);
    let tokens = [&[1, 97], &b"<end>".map(u32::from)[..], &[0]].concat();
    assert_eq!(out, [Report::Tokens(Tokens { id: RequestId(1), tokens })]);
}

/// Models of which the last token's state is the embedding were made with that token.
#[test]
fn an_embeddings_text_ends_as_the_model_wants() {
    let mut engine = Engine::new(Adder::new());
    let text =
        |length: usize, begin| Prompt::Text { segments: vec![Segment { text: "a".repeat(length), special: false }], begin };
    let embedding = |id, vector, tokens| Report::Embedding(Embedding { id: RequestId(id), vector, tokens });
    let table = [
        (text(1, true), Some((3, 2.0))),
        (text(6, true), Some((8, 2.0))),
        (text(7, true), None),
        (text(8, false), Some((8, 97.0))),
        (Prompt::Tokens(vec![5; 8]), Some((8, 5.0))),
    ];
    for (id, (prompt, expected)) in (1..).zip(table) {
        let mut out = Vec::new();
        engine.take(Order::Embed(Embed { id: RequestId(id), prompt }), &mut out);
        out.extend(finish(&mut engine));
        let too_long = Report::Failed { id: RequestId(id), failure: Failure::TooLong };
        assert_eq!(out, [expected.map_or(too_long, |(count, last)| embedding(id, vec![count as f32, 0.0, last], count))]);
    }
}

#[test]
fn a_model_for_embeddings_alone_continues_nothing() {
    let mut engine = Engine::new(Adder { shape: Shape { generates: false, ..SHAPE }, ..Adder::new() });
    let failed = Report::Failed { id: RequestId(1), failure: Failure::Unsupported };
    assert_eq!(give(&mut engine, request(1, 0, vec![5], 10)), [failed]);
    engine.take(Order::Embed(Embed { id: RequestId(2), prompt: Prompt::Tokens(vec![5]) }), &mut Vec::new());
    assert!(matches!(finish(&mut engine).as_slice(), [Report::Embedding(_)]));
}

#[test]
fn a_conversation_goes_through_the_template() {
    let turn = Turn { role: Role::User, name: None, content: "<end>".into() };
    let ask = |source: Option<&str>, order: fn(Prompt) -> Order, turn: &Turn| {
        let template = source.map(|source| Template {
            source: source.into(),
            begin: String::new(),
            end: String::new(),
            special: crate::template::Names::default(),
        });
        let mut engine = Engine::new(Adder { template, ..Adder::new() });
        let mut out = Vec::new();
        engine.take(order(Prompt::Chat(vec![turn.clone()])), &mut out);
        out.pop()
    };
    let tokenize: fn(Prompt) -> Order = |prompt| Order::Tokenize(Tokenize { id: RequestId(1), prompt });
    let generate: fn(Prompt) -> Order = |prompt| Order::Generate(Box::new(Generate { prompt, ..request(1, 0, Vec::new(), 1) }));
    let failed = |failure| Some(Report::Failed { id: RequestId(1), failure });
    // What the template writes names the token, what people write doesn't.
    let tokens = [&[1], &b"<end>".map(u32::from)[..], &[0]].concat();
    let source = "{{ messages[0].content }}{{ '<end>' }}";
    assert_eq!(ask(Some(source), tokenize, &turn), Some(Report::Tokens(Tokens { id: RequestId(1), tokens })));
    assert_eq!(ask(Some(source), generate, &turn), None, "it waits for its turn");
    assert_eq!(ask(None, generate, &turn), failed(Failure::NoTemplate));
    assert_eq!(ask(Some("{{ raise_exception('no') }}"), generate, &turn), failed(Failure::TemplateRefused));
    assert_eq!(ask(Some("{% if %}"), generate, &turn), failed(Failure::TemplateFaulty));
    // 64 tokens are the context.
    let long = Turn { content: "x".repeat(64), ..turn };
    assert_eq!(ask(Some(source), generate, &long), failed(Failure::TooLong));
}
