//! An engine that speaks image/protocol, and whose every reply is made of the first word of its prompt.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealstone_daemon::api::engine::inherited;
use sealstone_protocol::{
    Decoder, Done, Embedding, Facts, Failure, Finish, Order, Prompt, Report, RequestId, Token, Usage, encode,
};
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// The model's name in the daemon's configuration.
pub(crate) const MODEL: &str = "echo";

/// Requests that the front may give an engine at a time (`image/daemon/src/api/engine.rs`).
const MOST: usize = 256;

/// How long a reply takes whose marker begins so; others take [`PIECES`] times [`PAUSE`].
pub(crate) const SLOW: &str = "slow";
pub(crate) const SLOW_TIME: Duration = Duration::from_secs(5);

/// A reply whose marker begins so doesn't end before it is cancelled.
pub(crate) const ENDLESS: &str = "endless";

const PIECES: usize = 8;
const PAUSE: Duration = Duration::from_millis(10);

/// What a model of this kind replies to a prompt that begins with `marker`.
pub(crate) fn reply(marker: &str) -> String {
    format!("{marker} said so: {marker}, and {marker} again")
}

/// And what it makes of it as a vector.
pub(crate) fn vector(marker: &str) -> Vec<f32> {
    let hash =
        marker.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (0..4).map(|n| f32::from(u16::try_from(hash >> (16 * n) & 0xffff).unwrap()) / 65536.0).collect()
}

#[derive(Default)]
struct State {
    running: BTreeMap<u64, AbortHandle>,
    most: usize,
    orders: u64,
    cancelled: u64,
}

type Shared = Arc<Mutex<State>>;

/// Until the daemon closes the socket, which is standard input. Then says what there was, as JSON.
pub(crate) fn run() {
    let socket: StdUnixStream = inherited(0).expect("a socket as standard input");
    let state = Shared::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().unwrap();
    runtime.block_on(async { serve(UnixStream::from_std(socket).unwrap(), &state).await });
    let state = state.lock().unwrap();
    println!(
        "{}",
        json!({"orders": state.orders, "cancelled": state.cancelled, "most": state.most, "left": state.running.len()})
    );
    assert!(state.most <= MOST, "the front gave {} requests at a time", state.most);
}

async fn serve(socket: UnixStream, state: &Shared) {
    let socket = Arc::new(socket);
    let (send, mut reports) = mpsc::unbounded_channel::<Vec<u8>>();
    let writer = Arc::clone(&socket);
    tokio::spawn(async move {
        while let Some(bytes) = reports.recv().await {
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                writer.writable().await.unwrap();
                match writer.try_write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    // The daemon has gone.
                    Err(_) => return,
                }
            }
        }
    });
    let facts = Facts { name: MODEL.into(), context: 4096, sequences: 64, width: 4, vocabulary: 10, parameters: 1 };
    say(&send, Report::Hello(Box::new(facts)));
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; 65536];
    loop {
        while let Some(order) = decoder.message().expect("the front speaks the protocol") {
            take(order, state, &send);
        }
        socket.readable().await.unwrap();
        match socket.try_read(&mut buffer) {
            Ok(count @ 1..) => decoder.push(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

fn take(order: Order, state: &Shared, send: &mpsc::UnboundedSender<Vec<u8>>) {
    let mut locked = state.lock().unwrap();
    locked.orders += 1;
    match order {
        Order::Generate(request) => {
            let (id, marker) = (request.id, marker(&request.prompt));
            let task = tokio::spawn(generate(id, marker, Arc::clone(state), send.clone()));
            locked.running.insert(id.0, task.abort_handle());
            locked.most = locked.most.max(locked.running.len());
        }
        Order::Embed(request) => {
            say(send, Report::Embedding(Embedding { id: request.id, vector: vector(&marker(&request.prompt)), tokens: 1 }));
        }
        Order::Cancel(id) => {
            // Without effect when it has ended already.
            if let Some(task) = locked.running.remove(&id.0) {
                task.abort();
                locked.cancelled += 1;
                done(send, id, Finish::Cancelled);
            }
        }
        Order::Tokenize(request) => say(send, Report::Failed { id: request.id, failure: Failure::Unsupported }),
    }
}

async fn generate(id: RequestId, marker: String, state: Shared, send: mpsc::UnboundedSender<Vec<u8>>) {
    if marker.starts_with(SLOW) {
        sleep(SLOW_TIME).await;
    }
    let reply = reply(&marker).into_bytes();
    let piece = reply.len().div_ceil(PIECES);
    for text in reply.chunks(piece) {
        say(&send, Report::Token(Token { id, text: text.to_vec(), logprobs: None }));
        sleep(PAUSE).await;
    }
    if marker.starts_with(ENDLESS) {
        std::future::pending::<()>().await;
    }
    // In one go: a cancellation in between would end it twice.
    let mut locked = state.lock().unwrap();
    if locked.running.remove(&id.0).is_some() {
        done(&send, id, Finish::End);
    }
}

fn done(send: &mpsc::UnboundedSender<Vec<u8>>, id: RequestId, finish: Finish) {
    let usage = Usage { prompt: 1, cached: 0, reply: 8 };
    say(send, Report::Done(Done { id, text: Vec::new(), finish, usage }));
}

fn say(send: &mpsc::UnboundedSender<Vec<u8>>, report: Report) {
    let _ = send.send(encode(&report).unwrap());
}

/// The first word of what people wrote last.
fn marker(prompt: &Prompt) -> String {
    let text = match prompt {
        Prompt::Text { segments, .. } => segments.iter().map(|segment| segment.text.as_str()).collect(),
        Prompt::Chat(turns) => turns.last().map(|turn| turn.content.clone()).unwrap_or_default(),
        Prompt::Tokens(_) => String::new(),
    };
    text.split_whitespace().next().unwrap_or("nothing").to_owned()
}
