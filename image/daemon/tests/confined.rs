//! The confinement, in a process of its own: this program runs itself again as the confined child.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[path = "support/peer.rs"]
#[allow(unreachable_pub, dead_code)]
mod peer;
#[path = "support/tpm.rs"]
#[allow(unreachable_pub, dead_code)]
mod tpm;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sealstone_config::MeasuredConfig;
use sealstone_daemon::api;
use sealstone_daemon::channel::{Channel, Limits as ChannelLimits, Source};
use sealstone_daemon::confine::{ConfineError, Opens, confine};
use sealstone_daemon::event;
use sealstone_daemon::evidence::Kind;
use sealstone_daemon::evidence::quotes::Quoter;
use sealstone_daemon::front::{Answer, Front};
use sealstone_daemon::server::{self, Limits};
use sealstone_protocol::{Decoder, Done, Facts, Finish, Order, Report, RequestId, Token, Usage, encode};

const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[{"file":"m.gguf","name":"m","required":true,"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192}],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

/// Tells the child what to do once it is confined. Only this test program reads it; the daemon has no environment.
const ORDER: &str = "SEALSTONE_TEST_CONFINED";

/// What the child says when the host's kernel is too old for the confinement.
const UNSUPPORTED: &str = "unsupported";

fn main() {
    if let Ok(order) = std::env::var(ORDER) {
        return child(&order);
    }
    a_confined_front_serves();
    a_panic_ends_as_it_should();
    what_serving_does_not_need_kills();
}

fn a_confined_front_serves() {
    let (front, engine) = UnixStream::pair().unwrap();
    // Before the front is there: hello waits in the socket, as it may in the image.
    let engine = std::thread::spawn(move || play_engine(engine));
    let Some((mut child, port)) = start("serve", OwnedFd::from(front).into()) else { return };
    for _ in 0..50 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }
    sessions(port);
    completions(port);
    engine.join().unwrap();
    let mut session = peer::Peer::session(([127, 0, 0, 1], port).into(), 200);
    ask(&mut session, false);
    assert!(session.until("\"code\"").contains("503 Service Unavailable"), "the engine's end is found, and nothing else ends");
    assert_eq!(child.try_wait().unwrap(), None, "it is still there");
    println!("confined: serves");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    drop(session);
    assert_eq!(child.wait().unwrap().code(), Some(0), "it ends well when it is asked to");
    println!("confined: drains");
}

/// A panic's last word gets out, and its exit status.
fn a_panic_ends_as_it_should() {
    let Some((mut child, _)) = start("panic", Stdio::null()) else { return };
    assert_eq!(child.wait().unwrap().code(), Some(event::PANIC_STATUS));
}

/// Sessions of the channel in all their ways: HTTP/1.1, HTTP/2, long messages, garbage, silence, many at a time.
fn sessions(port: u16) {
    let address = ([127, 0, 0, 1], port).into();
    let mut open = Vec::new();
    for entropy in 0..20 {
        let mut session = peer::Peer::session(address, entropy);
        session.say(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert!(session.until("\"stages\"").contains("200 OK"));
        open.push(session);
    }
    for (session, n) in open.iter_mut().zip(0..) {
        match n % 4 {
            0 => session
                .say(&[&b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\n\r\n"[..], &[b'x'; 60_000]].concat()),
            1 => drop(session.peer.send(b"garbage")),
            2 => drop(session.peer.ping()),
            _ => {}
        }
    }
    let mut session = peer::Peer::session(address, 99);
    let block = [&[0x82, 0x86, 0x04, 0x08][..], b"/healthz", &[0x41, 0x01, b'x']].concat();
    let head = [0, 0, u8::try_from(block.len()).unwrap(), 1, 0x05, 0, 0, 0, 1];
    session.say(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", &head[..], &block].concat());
    session.until("\"stages\"");
}

/// Requests that the engine answers, in one piece and as streams, and one that is cancelled.
fn completions(port: u16) {
    let address = ([127, 0, 0, 1], port).into();
    for entropy in 100..104 {
        let mut session = peer::Peer::session(address, entropy);
        ask(&mut session, false);
        let reply = session.until("total_tokens");
        assert!(reply.starts_with("HTTP/1.1 200 OK") && reply.contains(&"x".repeat(LONG)), "{reply}");
        ask(&mut session, true);
        let reply = session.until("[DONE]");
        assert!(reply.contains("text/event-stream") && reply.contains("xxx"), "{reply}");
    }
    let mut session = peer::Peer::session(address, 104);
    ask(&mut session, true);
    session.until("data: ");
}

fn ask(session: &mut peer::Session, stream: bool) {
    // Long enough that it takes several records, and several writes to the engine.
    let body = format!(r#"{{"model":"m","prompt":"{}","stream":{stream}}}"#, "p".repeat(500_000));
    let request = format!("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    request.as_bytes().chunks(60_000).for_each(|piece| session.say(piece));
}

/// Tokens of a reply.
const LONG: usize = 500;

/// Says hello, answers eight requests, begins the ninth, waits until it is cancelled, and goes.
fn play_engine(mut socket: UnixStream) {
    let facts = Facts { name: "m".into(), context: 4096, sequences: 1, width: 0, vocabulary: 10, parameters: 1 };
    socket.write_all(&encode(&Report::Hello(Box::new(facts))).unwrap()).unwrap();
    let mut decoder = Decoder::new();
    let mut order = || loop {
        if let Some(order) = decoder.message().unwrap() {
            return order;
        }
        let mut bytes = [0; 65536];
        match (&socket).read(&mut bytes).unwrap() {
            0 => panic!("the front closed the socket"),
            count => decoder.push(&bytes[..count]),
        }
    };
    let token = |id: RequestId| encode(&Report::Token(Token { id, text: b"x".into(), logprobs: None })).unwrap();
    for _ in 0..8 {
        let Order::Generate(request) = order() else { panic!("no request") };
        (0..LONG).for_each(|_| (&socket).write_all(&token(request.id)).unwrap());
        let usage = Usage { prompt: 1, cached: 0, reply: 500 };
        let done = Done { id: request.id, text: Vec::new(), finish: Finish::End, usage };
        (&socket).write_all(&encode(&Report::Done(done)).unwrap()).unwrap();
    }
    let Order::Generate(request) = order() else { panic!("no request") };
    (&socket).write_all(&token(request.id)).unwrap();
    assert_eq!(order(), Order::Cancel(request.id));
}

fn what_serving_does_not_need_kills() {
    const SIGSYS: i32 = 31;
    for order in ["open", "exec", "socket", "fork", "executable-memory"] {
        let Some((mut child, _)) = start(order, Stdio::null()) else { return };
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(SIGSYS), "{order}: {status}");
        println!("confined: {order} kills");
    }
}

/// Starts this program as the child with an order; its input is its engine's socket. `None` when this host can't confine.
fn start(order: &str, input: Stdio) -> Option<(Child, u16)> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ORDER, order).stdin(input).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let port = lines.by_ref().map(|l| l.unwrap()).find_map(|line| match line.strip_prefix("child: ") {
        Some(UNSUPPORTED) => Some(None),
        Some(port) => Some(Some(port.parse().unwrap())),
        None => None,
    });
    // Keep the pipe open: the child may write to it.
    std::thread::spawn(move || lines.for_each(drop));
    match port.expect("the child said nothing") {
        Some(port) => Some((child, port)),
        None => {
            child.wait().unwrap();
            println!("SKIPPED confined ({order}): this host's kernel has no landlock of version 6");
            None
        }
    }
}

/// The body of the child process.
fn child(order: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
    let quoter = runtime.block_on(Quoter::new(tpm::FakeTpm::unchecked(Duration::from_millis(1)), &measured, b"log")).unwrap();
    let channel = Channel::new(Source::Tpm(quoter.start()), ChannelLimits::DEFAULT).unwrap();
    let mut front = Front::new(&measured, Kind::Tpm2, Path::new("/nonexistent")).with_channel(channel);
    if let Some(api) = api::attach(&measured, vec![api::engine::inherited(0)]) {
        front = front.with_api(api);
    }
    sealstone_daemon::start::end_at_sigterm(front.life().clone()).unwrap();
    event::log_panics();
    let front = Arc::new(front);
    match confine(&[Path::new("/dev/null"), Path::new("/nonexistent")], Opens::Nothing) {
        Ok(()) => eprintln!("child: {port}"),
        Err(ConfineError::Landlock) => return eprintln!("child: {UNSUPPORTED}"),
        Err(error) => panic!("{error}"),
    }
    match order {
        "serve" => {
            let ended = runtime.block_on(server::serve(listener, front, Limits::DEFAULT)).unwrap();
            assert_eq!(ended.requests, 0);
            std::process::exit(0);
        }
        "panic" => panic!("as asked"),
        "open" => drop(std::fs::File::open("/dev/null")),
        "exec" => drop(Command::new("/bin/true").status()),
        "socket" => drop(std::net::UdpSocket::bind("127.0.0.1:0")),
        "fork" => drop(std::thread::Builder::new().spawn(|| ())),
        "executable-memory" => map_executable(),
        other => panic!("{other}"),
    }
    eprintln!("child: survived {order}");
}

/// Asks for a page that could hold code, as an intruder would.
fn map_executable() {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let flags = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
    #[allow(unsafe_code)]
    // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing.
    let page = unsafe { mmap_anonymous(std::ptr::null_mut(), 4096, flags, MapFlags::PRIVATE) };
    assert!(page.is_err(), "the kernel gave executable memory");
}
