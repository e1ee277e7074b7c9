//! What the engine costs over bare calls of llama.cpp: `bench FILE [THREADS]`. Both run in turns with the same model, threads
//! and batches, in this process; the best of several rounds counts, since whatever else the machine does only ever slows.

// Sums of small constants.
#![allow(clippy::arithmetic_side_effects)]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use sealstone_engine::backend::{Backend, Entry};
use sealstone_engine::engine::Engine;
use sealstone_engine::llama::{Llama, Resources};
use sealstone_protocol::{Constraint, Generate, Order, Prompt, Report, RequestId, Salt, Sampling};

/// As llama-bench does by default: 512 tokens in, 128 out.
const PROMPT: u32 = 512;
const REPLY: u32 = 128;
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (file, threads) = match words.as_slice() {
        [file] => (file, std::thread::available_parallelism().map_or(1, usize::from)),
        [file, threads] => (file, threads.parse().unwrap_or(1)),
        _ => {
            eprintln!("usage: bench FILE [THREADS]");
            return ExitCode::from(2);
        }
    };
    let resources = Resources { threads: u32::try_from(threads).unwrap_or(1), cache: 1 << 30 };
    let llama = match Llama::load(Path::new(file), resources) {
        Ok(llama) => llama,
        Err(error) => {
            eprintln!("bench: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut engine = Engine::new(llama);
    let mut best = [Duration::MAX; 4];
    let mut keep = |at: usize, time: Duration| {
        if let Some(best) = best.get_mut(at) {
            *best = time.min(*best);
        }
    };
    for round in 0..ROUNDS {
        let (prefill, decode) = bare(engine.backend_mut());
        keep(0, prefill);
        keep(2, decode);
        let (prefill, decode) = through(&mut engine, round as u64);
        keep(1, prefill);
        keep(3, decode);
    }
    let [bare_prefill, prefill, bare_decode, decode] = best.map(|time| time.as_secs_f64());
    let rate = |count: u32, seconds: f64| f64::from(count) / seconds;
    println!("threads {threads}, best of {ROUNDS} rounds, tokens per second");
    let line = |what: &str, count, bare: f64, engine: f64| {
        println!("{what:8} bare {:9.2}  engine {:9.2}  {:5.1} %", rate(count, bare), rate(count, engine), 100.0 * bare / engine);
    };
    line("prefill", PROMPT, bare_prefill, prefill);
    line("decode", REPLY, bare_decode, decode);
    ExitCode::SUCCESS
}

fn prompt() -> Vec<u32> {
    (0..PROMPT).map(|n| 97 + n % 26).collect()
}

/// One batch for the prompt and one for each token, the likeliest always: what llama-bench measures, with a choice.
fn bare(llama: &mut Llama) -> (Duration, Duration) {
    let mut chooser = llama.chooser(&Sampling::GREEDY, None).unwrap_or_else(|| unreachable!());
    llama.forget(0, 0);
    let entry = |token, position, output| Entry { token, position, sequence: 0, output };
    let batch: Vec<Entry> = prompt().into_iter().zip(0..).map(|(token, at)| entry(token, at, at + 1 == PROMPT)).collect();
    let start = Instant::now();
    let computed = llama.compute(&batch);
    let mut token = computed.ok().and_then(|()| llama.choose(batch.len() - 1, &mut chooser)).unwrap_or(0);
    let prefill = start.elapsed();
    let start = Instant::now();
    for at in 0..REPLY - 1 {
        let computed = llama.compute(&[entry(token, PROMPT + at, true)]);
        token = computed.ok().and_then(|()| llama.choose(0, &mut chooser)).unwrap_or(0);
    }
    let decode = start.elapsed();
    llama.forget(0, 0);
    (prefill, decode)
}

/// The same as a request, up to the reports that would be sent.
fn through(engine: &mut Engine<Llama>, round: u64) -> (Duration, Duration) {
    let request = Generate {
        id: RequestId(round),
        salt: Salt([round as u8; 16]),
        prompt: Prompt::Tokens(prompt()),
        max_tokens: REPLY,
        sampling: Sampling::GREEDY,
        constraint: Constraint::Free,
        stop: Vec::new(),
        logprobs: None,
        ignore_end: true,
    };
    let mut reports = Vec::new();
    let start = Instant::now();
    engine.take(Order::Generate(Box::new(request)), &mut reports);
    engine.step(&mut reports);
    let prefill = start.elapsed();
    let start = Instant::now();
    while !engine.is_idle() {
        engine.step(&mut reports);
    }
    let decode = start.elapsed();
    assert!(
        matches!(reports.last(), Some(Report::Done(done)) if done.usage.reply == REPLY && done.usage.cached == 0),
        "{reports:?}"
    );
    (prefill, decode)
}
