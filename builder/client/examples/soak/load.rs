//! Sessions that ask at a rate, all of them at once from time to time, and what must hold at the end.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until};

use crate::client::{Kind, Outcome, Session};
use crate::daemon::{Daemon, Ended};
use crate::engine::SLOW;

/// Begins every marker, and so every prompt and reply: what the daemon's console and open answers must not hold.
const SECRET: &str = "zwieselstein";

/// The daemon takes 64 handshakes at a time.
const HANDSHAKES: usize = 32;

/// Memory that the daemon may ever have: a quarter of what an image's machine has by default.
const MEMORY: u64 = 256 << 20;

/// By how much it may grow in the last third of the time over the first, when all sessions are there and each has been through everything.
const GROWTH: u64 = 16 << 20;

/// Problems that are kept to be shown.
const SHOWN: usize = 20;

#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) time: Duration,
    pub(crate) sessions: u32,
    /// Requests a second.
    pub(crate) rate: u32,
}

#[derive(Default)]
struct Tally {
    outcomes: BTreeMap<(Kind, Outcome), u64>,
    waits: Vec<Duration>,
    problems: Vec<String>,
    problem_count: u64,
    reopened: u64,
    memory: Vec<u64>,
}

type Shared = Arc<Mutex<Tally>>;

impl Tally {
    fn take(&mut self, kind: Kind, result: Result<Outcome, String>, took: Duration) {
        match result {
            Ok(outcome) => {
                *self.outcomes.entry((kind, outcome)).or_default() += 1;
                self.waits.push(took);
            }
            Err(problem) => self.problem(format!("{kind:?}: {problem}")),
        }
    }

    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < SHOWN {
            self.problems.push(text);
        }
    }

    fn count(&self, is: impl Fn(Kind, Outcome) -> bool) -> u64 {
        self.outcomes.iter().filter(|((kind, outcome), _)| is(*kind, *outcome)).map(|(_, count)| count).sum()
    }
}

pub(crate) fn run(program: &Path, plan: Plan) -> ExitCode {
    let daemon = match Daemon::start(program) {
        Ok(daemon) => Arc::new(daemon),
        Err(console) if console.contains("cannot confine itself: landlock") || console.contains("unshare:") => {
            println!("SKIPPED soak: {}", console.trim());
            return ExitCode::SUCCESS;
        }
        Err(console) => panic!("the daemon doesn't come up: {console}"),
    };
    let tally = Shared::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    let began = Instant::now();
    let open = runtime.block_on(loaded(&daemon, plan, &tally));
    println!("load: {:.0} s, {} in the end", began.elapsed().as_secs_f64(), plan.sessions);
    let said = in_the_open(daemon.address);
    runtime.block_on(drained(&daemon, open, &tally));
    drop(runtime);
    let ended = Arc::into_inner(daemon).expect("nobody else has it").wait();
    let tally = Arc::into_inner(tally).expect("nobody else has it").into_inner().unwrap();
    judge(plan, &tally, &ended, &said)
}

/// Opens the sessions, has them ask until the time is over, and gives them back.
async fn loaded(daemon: &Arc<Daemon>, plan: Plan, tally: &Shared) -> Vec<Session> {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    let opening: Vec<_> = (0..plan.sessions)
        .map(|n| {
            let (daemon, room) = (Arc::clone(daemon), Arc::clone(&room));
            tokio::spawn(async move { open(&daemon, &room, n & 1 == 0).await })
        })
        .collect();
    let mut sessions = Vec::new();
    for task in opening {
        sessions.push(task.await.unwrap());
    }
    println!("{} sessions are open at a time", sessions.len());
    let start = tokio::time::Instant::now();
    let watch = watch(Arc::clone(daemon), Arc::clone(tally));
    let loris = slow_peers(daemon.address);
    let asking: Vec<JoinHandle<Session>> = (0..)
        .zip(sessions)
        .map(|(n, session)| {
            let asker = Asker { daemon: Arc::clone(daemon), room: Arc::clone(&room), tally: Arc::clone(tally), n, plan, start };
            tokio::spawn(asker.run(session))
        })
        .collect();
    let mut open = Vec::new();
    for task in asking {
        open.push(task.await.unwrap());
    }
    for task in [watch, loris] {
        task.abort();
        let _ = task.await;
    }
    open
}

async fn open(daemon: &Daemon, room: &Semaphore, two: bool) -> Session {
    let _place = room.acquire().await.unwrap();
    loop {
        match Session::open(daemon.address, &daemon.config, two).await {
            Ok(Some(session)) => return session,
            Ok(None) => sleep(Duration::from_millis(200)).await,
            Err(problem) => panic!("no session: {problem}"),
        }
    }
}

/// One session's part.
struct Asker {
    daemon: Arc<Daemon>,
    room: Arc<Semaphore>,
    tally: Shared,
    n: u32,
    plan: Plan,
    start: tokio::time::Instant,
}

impl Asker {
    async fn run(self, mut session: Session) -> Session {
        let mut random = u64::from(self.n).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let pause = Duration::from_secs_f64(f64::from(self.plan.sessions) / f64::from(self.plan.rate));
        let end = self.start + self.plan.time;
        // All sessions at once, twice: at a quarter and at three quarters.
        let mut bursts = [self.plan.time / 4, self.plan.time * 3 / 4].map(|at| self.start + at).into_iter().peekable();
        let mut next = self.start + pause * self.n / self.plan.sessions;
        for count in 0.. {
            let is_burst = bursts.next_if(|at| *at <= next).map(|at| next = next.max(at)).is_some();
            sleep_until(next).await;
            if tokio::time::Instant::now() >= end {
                break;
            }
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let kind = match kind(random % 100) {
                _ if is_burst => Kind::Burst,
                // The front answers before it has read all, and closes: over HTTP/1.1 a client that only writes doesn't see that.
                Kind::TooLarge if self.n & 1 == 1 => Kind::BadJson,
                kind => kind,
            };
            let speed = if is_burst { SLOW } else { "quick" };
            let marker = format!("{speed}-{SECRET}-{}-{count}-{random:x}", self.n);
            let filler = "words ".repeat(usize::try_from(random % 400).unwrap());
            let began = Instant::now();
            let result = session.ask(kind, &marker, &filler).await;
            self.tally.lock().unwrap().take(kind, result, began.elapsed());
            // HTTP/1.1 has no way to cancel but to go.
            let has_gone = kind == Kind::Cancel && self.n & 1 == 1;
            if has_gone || !session.is_open() {
                drop(session);
                session = open(&self.daemon, &self.room, self.n & 1 == 0).await;
                self.tally.lock().unwrap().reopened += 1;
            }
            // Behind its time, it doesn't try to catch up.
            next = (next + pause).max(tokio::time::Instant::now());
        }
        session
    }
}

fn kind(percent: u64) -> Kind {
    match percent {
        0..35 => Kind::ChatStream,
        35..50 => Kind::Chat,
        50..70 => Kind::Completion,
        70..80 => Kind::Embedding,
        80..86 => Kind::Models,
        86..91 => Kind::Cancel,
        91..92 => Kind::TooLarge,
        92..97 => Kind::BadJson,
        _ => Kind::UnknownModel,
    }
}

/// Looks at the daemon's memory once a second.
fn watch(daemon: Arc<Daemon>, tally: Shared) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let memory = daemon.memory();
            tally.lock().unwrap().memory.push(memory);
            sleep(Duration::from_secs(1)).await;
        }
    })
}

/// Eight connections on which a request comes a byte at a time, again and again.
fn slow_peers(address: SocketAddr) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let mut peers = Vec::new();
            for _ in 0..8 {
                peers.extend(tokio::net::TcpStream::connect(address).await);
            }
            for byte in b"GET /healthz HTTP/1.1\r\n" {
                peers.retain(|peer| peer.try_write(&[*byte]).is_ok());
                sleep(Duration::from_millis(700)).await;
            }
        }
    })
}

/// What anybody is told.
fn in_the_open(address: SocketAddr) -> String {
    let mut said = String::new();
    for path in ["/metrics", "/healthz", "/v1/attested-config"] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut said).unwrap();
    }
    said
}

/// Ends the daemon while some sessions have replies coming: those have to come, and what is asked now has to be sent away.
async fn drained(daemon: &Arc<Daemon>, mut sessions: Vec<Session>, tally: &Shared) {
    let streaming: Vec<_> = (0..20)
        .zip(sessions.split_off(sessions.len() - 20))
        .map(|(n, mut session)| {
            tokio::spawn(async move { (session.ask(Kind::ChatStream, &format!("{SLOW}-{SECRET}-last-{n}"), "").await, session) })
        })
        .collect();
    sleep(Duration::from_secs(1)).await;
    daemon.end();
    while std::net::TcpStream::connect(daemon.address).is_ok() {
        sleep(Duration::from_millis(50)).await;
    }
    for session in sessions.iter_mut().take(20) {
        match session.ask(Kind::Completion, "late", "").await {
            Ok(Outcome::Draining) => {}
            other => tally.lock().unwrap().problem(format!("asked while draining: {other:?}")),
        }
    }
    for task in streaming {
        let (result, _session) = task.await.unwrap();
        if result != Ok(Outcome::Right) {
            tally.lock().unwrap().problem(format!("a reply that was coming: {result:?}"));
        }
    }
    // What is left in the sessions: the daemon says goodbye, and these answer.
    while sessions.iter().any(Session::is_open) {
        sleep(Duration::from_millis(20)).await;
    }
}

fn judge(plan: Plan, tally: &Tally, ended: &Ended, said: &str) -> ExitCode {
    let all = tally.count(|_, _| true);
    for ((kind, outcome), count) in &tally.outcomes {
        println!("{:>8} {kind:?} {outcome:?}", count);
    }
    let mut waits = tally.waits.clone();
    waits.sort();
    let quantile = |percent: usize| waits.get(waits.len() * percent / 100).copied().unwrap_or_default().as_millis();
    println!(
        "{all} requests, {:.0} a second; replies after {} ms (half), {} ms (99 of 100)",
        rate(plan, all),
        quantile(50),
        quantile(99)
    );
    let third = tally.memory.len() / 3;
    let most = |samples: &[u64]| samples.iter().max().copied().unwrap_or(0);
    let (first, last) = (most(&tally.memory[..third]), most(&tally.memory[third * 2..]));
    println!(
        "memory: {} KiB at the most in the first third, {} KiB in the last; {} sessions were opened anew",
        first >> 10,
        last >> 10,
        tally.reopened
    );
    println!("engine: {}", ended.engine);
    println!("{}", ended.console.lines().last().unwrap_or(""));

    let cancelled = tally.count(|kind, outcome| kind == Kind::Cancel && outcome == Outcome::Right);
    let bursts =
        [Outcome::Right, Outcome::Busy].map(|wanted| tally.count(|kind, outcome| (kind, outcome) == (Kind::Burst, wanted)));
    let has = |text: &str| said.contains(text) || ended.console.contains(text);
    let checks = [
        ("every reply came, and was its own", tally.problem_count == 0),
        ("there were enough of them", all > u64::from(plan.sessions)),
        ("a full queue sends away", plan.sessions <= 256 || bursts[1] > 0),
        ("and a place in it is worth something", bursts[0] > 0),
        ("the engine heard of each cancelled request, and no other", ended.engine["cancelled"] == cancelled),
        ("and has none left", ended.engine["left"] == 0),
        ("memory is bounded", most(&tally.memory) > 0 && most(&tally.memory) <= MEMORY && last <= first + GROWTH),
        ("the daemon ended well", ended.status.code() == Some(0)),
        ("and cut nothing off", ended.console.contains("drained; cut off 0 requests, 0 sessions")),
        ("what is said in the open was said", has("sealstone_channels_total") && has("\"stages\"") && has("front: listening")),
        ("and holds nothing of prompts and replies", !has(SECRET)),
    ];
    for problem in &tally.problems {
        println!("PROBLEM {problem}");
    }
    for (what, holds) in checks {
        println!("{} {what}", if holds { "ok    " } else { "FAILED" });
    }
    if checks.iter().all(|(_, holds)| *holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn rate(plan: Plan, requests: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let requests = requests as f64;
    requests / plan.time.as_secs_f64()
}
