//! A client made of the channel's pure parts and a blocking socket, so that it can misbehave at every step.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sealstone_channel::noise::Entropy;
use sealstone_channel::session::{Client, Duplex, Judgement, Progress, Received, Unverified};
use sealstone_channel::websocket::{self, Decoder, Item, Mask, Role};

/// The request that opens the channel.
pub const UPGRADE: &str = "GET /v1/channel HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: sealstone.v1\r\n\r\n";

const MASK: Option<Mask> = Some(Mask([1, 2, 3, 4]));

/// A WebSocket to the front.
pub struct Peer {
    pub stream: TcpStream,
    decoder: Decoder,
}

/// What the front did.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    Message(Vec<u8>),
    Close(u16),
    /// The connection ended without a word.
    Gone,
}

impl Peer {
    /// Connects and upgrades; the response's status line if the front refused.
    pub fn open(address: SocketAddr) -> Result<Peer, String> {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(UPGRADE.as_bytes()).unwrap();
        let head = head(&mut stream);
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        assert!(head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: sealstone.v1"), "{head}");
        Ok(Peer { stream, decoder: Decoder::new(Role::Client) })
    }

    /// Sends a message; whether the front still took it.
    pub fn send(&mut self, message: &[u8]) -> bool {
        self.raw(&websocket::binary(message, MASK))
    }

    pub fn ping(&mut self) -> bool {
        self.raw(&websocket::ping(b"there?", MASK))
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next thing from the front.
    pub fn hear(&mut self) -> Heard {
        loop {
            match self.decoder.take().unwrap() {
                Some(Item::Message(message)) => return Heard::Message(message),
                Some(Item::Close(code)) => return Heard::Close(code),
                Some(Item::Ping(_)) | None => {}
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::Gone,
                Ok(length) => self.decoder.put(&bytes[..length]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Heard::Gone,
                Err(error) => panic!("the front neither answers nor closes: {error}"),
            }
        }
    }

    fn message(&mut self) -> Vec<u8> {
        match self.hear() {
            Heard::Message(message) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// Hello and reply.
    pub fn shake(&mut self, entropy: u8) -> Unverified {
        let (client, hello) = Client::start(Entropy::new([entropy; 32])).unwrap();
        assert!(self.send(&hello));
        let reply = self.message();
        client.reply(&reply).unwrap()
    }

    /// Up to the evidence.
    pub fn evidence(&mut self, entropy: u8) -> Judgement {
        let mut waiting = self.shake(entropy);
        loop {
            match waiting.message(&self.message()).unwrap() {
                Progress::More(more) => waiting = more,
                Progress::Complete(judgement) => return judgement,
            }
        }
    }

    /// A whole session, whatever the evidence says.
    pub fn session(address: SocketAddr, entropy: u8) -> Session {
        let mut peer = Peer::open(address).unwrap();
        let duplex = peer.evidence(entropy).accept();
        Session { peer, duplex }
    }
}

/// A response's head.
pub fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A peer in a session.
pub struct Session {
    pub peer: Peer,
    pub duplex: Duplex,
}

impl Session {
    /// Sends bytes of the stream.
    pub fn say(&mut self, bytes: &[u8]) {
        let message = self.duplex.send(bytes).unwrap();
        assert!(self.peer.send(&message));
    }

    /// The next record's content, and the length of its message; none at the end of the stream.
    pub fn record(&mut self) -> Option<(Vec<u8>, usize)> {
        match self.peer.hear() {
            Heard::Message(message) => match self.duplex.receive(&message).unwrap() {
                Received::Data(data) => Some((data.bytes().to_vec(), message.len())),
                Received::End => None,
            },
            other => panic!("{other:?} instead of a record"),
        }
    }

    /// Everything until the text holds `end`, or the stream ends.
    pub fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !String::from_utf8_lossy(&text).contains(end) {
            match self.record() {
                Some((content, _)) => text.extend(content),
                None => break,
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
