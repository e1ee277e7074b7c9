//! A web server that misbehaves as told, and what tests of fetching share.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "each test program uses its part; failing loudly is right here"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use sealstone_inputs::{ArchiveRef, Event, Mirrors, Network, Patience, Progress, Settings, Want};
use sealstone_spec::{Repository, Sha256};

/// What the server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// A well-formed answer with this status, further header lines, and a body.
    Status(u16, &'static str, Vec<u8>),
    /// These bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// These bytes, then silence as long as the server lives.
    Stall(Vec<u8>),
}

pub fn ok(body: &[u8]) -> Reply {
    Reply::Status(200, "", body.to_vec())
}

/// Listens on a port of its own until dropped.
pub struct Server {
    pub url: String,
    pub authority: String,
    seen: Arc<Mutex<Vec<String>>>,
    _alive: std::sync::mpsc::Sender<()>,
}

impl Server {
    /// `answer` gets the path (or `CONNECT host:port`) and how many requests came before.
    pub fn start(answer: impl Fn(&str, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (alive, ended) = channel();
        let (answer, ended) = (Arc::new(answer), Arc::new(Mutex::new(ended)));
        let log = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log, ended) = (answer.clone(), log.clone(), ended.clone());
                // A client that goes away in the middle is part of what is tested.
                thread::spawn(move || drop(serve(stream.unwrap(), &*answer, &log, &ended)));
            }
        });
        Server { url: format!("http://{authority}"), authority, seen, _alive: alive }
    }

    /// Paths that were asked for, in order.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &(dyn Fn(&str, usize) -> Reply + Send + Sync),
    log: &Mutex<Vec<String>>,
    ended: &Mutex<Receiver<()>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = String::new();
        lines.read_line(&mut request)?;
        let mut header = String::new();
        while header != "\r\n" {
            header.clear();
            if lines.read_line(&mut header)? == 0 {
                return Ok(());
            }
        }
        let tunnel = request.starts_with("CONNECT ");
        let wanted =
            if tunnel { request.trim_end_matches(" HTTP/1.1\r\n") } else { request.split(' ').nth(1).unwrap_or_default() };
        let before = {
            let mut log = log.lock().unwrap();
            log.push(wanted.to_owned());
            log.len() - 1
        };
        if tunnel {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            continue;
        }
        match answer(wanted, before) {
            Reply::Status(status, headers, body) => {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n")?;
                stream.write_all(&body)?;
            }
            Reply::Raw(bytes) => stream.write_all(&bytes)?,
            Reply::Stall(bytes) => {
                stream.write_all(&bytes)?;
                let _ = ended.lock().unwrap().recv();
            }
        }
        return stream.shutdown(std::net::Shutdown::Write);
    }
}

/// Keeps every event.
#[derive(Default)]
pub struct Watch(Mutex<Vec<Event>>);

impl Progress for Watch {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Watch {
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| is(event)).count()
    }
}

/// Mirrors that never leave this machine: no snapshot archive, no proxy, no patience.
pub fn settings(mirror: &str) -> Settings {
    let patience =
        Patience { attempts: 3, pause: Duration::ZERO, connect: Duration::from_secs(60), silence: Duration::from_secs(60) };
    let network = Network { patience, ..Network::default() };
    Settings { mirror: Some(mirror.to_owned()), apt: vec![], snapshot: None, network }
}

pub fn mirrors(mirror: &str) -> Mirrors {
    Mirrors::new(&settings(mirror)).unwrap()
}

pub fn want(name: &str, content: &[u8]) -> Want {
    Want {
        sha256: Sha256::of(content),
        size: content.len() as u64,
        what: format!("package {name} 1-1"),
        pool_path: Some(format!("pool/main/{name}.deb")),
        archive: Some(ArchiveRef { snapshot: "20260712T000000Z".parse().unwrap(), repository: Repository::Debian }),
    }
}

/// Puts a file into a folder under the name that a mirror folder has it by.
pub fn into_folder(folder: &Path, content: &[u8]) {
    std::fs::write(folder.join(Sha256::of(content).to_string()), content).unwrap();
}
