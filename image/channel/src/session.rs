//! The order of a session as types: what isn't allowed yet has no method yet.
//!
//! Client: [`Client`] (hello sent) → [`Unverified`] (evidence comes in) → [`Judgement`] (it is there) → [`Duplex`].
//! Server: [`Server`] (evidence to be sent) → [`Duplex`].

use zeroize::Zeroizing;

use crate::binding::HandshakeHash;
use crate::error::ChannelError;
use crate::evidence::{self, Assembly};
use crate::noise::{self, Entropy, HELLO, Initiator, REPLY, StaticKey, Transport};
use crate::record::{self, Kind, Record};

/// A client that has sent its hello.
pub struct Client(Initiator);

impl Client {
    /// Begins; the message is to be sent.
    ///
    /// # Errors
    /// As [`Initiator::start`].
    pub fn start(entropy: Entropy) -> Result<(Self, [u8; HELLO]), ChannelError> {
        Initiator::start(entropy).map(|(initiator, hello)| (Self(initiator), hello))
    }

    /// Takes the server's handshake message.
    ///
    /// # Errors
    /// As [`Initiator::finish`].
    pub fn reply(self, message: &[u8]) -> Result<Unverified, ChannelError> {
        let (transport, hash) = self.0.finish(message)?;
        Ok(Unverified { transport, hash, assembly: Assembly::default() })
    }
}

/// A client with keys that somebody shares: who that is, the evidence has to say.
#[derive(Debug)]
pub struct Unverified {
    transport: Transport,
    hash: HandshakeHash,
    assembly: Assembly,
}

/// What comes of a message to a client that waits for evidence.
#[derive(Debug)]
pub enum Progress {
    /// There is more to come.
    More(Unverified),
    /// The document is complete and can be judged.
    Complete(Judgement),
}

impl Unverified {
    /// Takes the next message.
    ///
    /// # Errors
    /// Anything but the next piece of evidence.
    pub fn message(mut self, message: &[u8]) -> Result<Progress, ChannelError> {
        let record = Record::parse(self.transport.open(message)?)?;
        if record.kind != Kind::Evidence {
            return Err(ChannelError::Turn);
        }
        Ok(match self.assembly.add(record.content())? {
            None => Progress::More(self),
            Some(document) => Progress::Complete(Judgement { transport: self.transport, hash: self.hash, document }),
        })
    }
}

/// A client that has the evidence and has sent nothing that is its user's.
#[derive(Debug)]
pub struct Judgement {
    transport: Transport,
    hash: HandshakeHash,
    document: Vec<u8>,
}

impl Judgement {
    /// The evidence document, as it was sent.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// What the document must be bound to.
    pub fn hash(&self) -> HandshakeHash {
        self.hash
    }

    /// The stream. Only for a caller whose verdict accepts the document and its binding to [`Judgement::hash`].
    pub fn accept(self) -> Duplex {
        Duplex::new(self.transport)
    }
}

/// A server that owes its evidence.
#[derive(Debug)]
pub struct Server {
    transport: Transport,
    hash: HandshakeHash,
}

impl Server {
    /// Answers a client's hello; the message is to be sent.
    ///
    /// # Errors
    /// As [`noise::respond`].
    pub fn respond(key: &StaticKey, entropy: Entropy, hello: &[u8]) -> Result<(Self, [u8; REPLY]), ChannelError> {
        let (reply, transport, hash) = noise::respond(key, entropy, hello)?;
        Ok((Self { transport, hash }, reply))
    }

    /// What the evidence has to be bound to.
    pub fn hash(&self) -> HandshakeHash {
        self.hash
    }

    /// The messages that carry `document`, and the stream behind them.
    ///
    /// # Errors
    /// As [`evidence::records`].
    pub fn evidence(mut self, document: &[u8]) -> Result<(Vec<Vec<u8>>, Duplex), ChannelError> {
        let records = evidence::records(document)?;
        let messages = records.iter().map(|record| self.transport.seal(record)).collect::<Result<_, _>>()?;
        Ok((messages, Duplex::new(self.transport)))
    }
}

/// Two streams of bytes in opposite directions, each of which ends by itself.
#[derive(Debug)]
pub struct Duplex {
    transport: Transport,
    has_ended: bool,
    peer_has_ended: bool,
}

/// What a message brought.
#[derive(Debug)]
pub enum Received {
    /// The next bytes of the peer's stream, wiped from memory with the value.
    Data(Data),
    /// The peer's stream has ended, complete.
    End,
}

/// Bytes of the stream.
#[derive(Debug)]
pub struct Data(Record);

impl Data {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.content()
    }
}

impl Duplex {
    fn new(transport: Transport) -> Self {
        Self { transport, has_ended: false, peer_has_ended: false }
    }

    /// The message with the stream's next bytes.
    ///
    /// # Errors
    /// [`ChannelError::TooMuch`] if they don't fit, [`ChannelError::Record`] if there are none, [`ChannelError::Turn`] after
    /// [`Duplex::end`].
    pub fn send(&mut self, content: &[u8]) -> Result<Vec<u8>, ChannelError> {
        match (self.has_ended, content) {
            (true, _) => Err(ChannelError::Turn),
            (false, []) => Err(ChannelError::Record),
            (false, content) => self.seal(Kind::Data, content),
        }
    }

    /// The message that ends this direction.
    ///
    /// # Errors
    /// [`ChannelError::Turn`] if it has ended.
    pub fn end(&mut self) -> Result<Vec<u8>, ChannelError> {
        if self.has_ended {
            return Err(ChannelError::Turn);
        }
        self.has_ended = true;
        self.seal(Kind::End, &[])
    }

    /// Takes the peer's next message.
    ///
    /// # Errors
    /// The message isn't the next of this session, isn't a record, or isn't in its turn.
    pub fn receive(&mut self, message: &[u8]) -> Result<Received, ChannelError> {
        if self.peer_has_ended {
            return Err(ChannelError::Turn);
        }
        let record = Record::parse(self.transport.open(message)?)?;
        match record.kind {
            Kind::Evidence => Err(ChannelError::Turn),
            Kind::Data => Ok(Received::Data(Data(record))),
            Kind::End => {
                self.peer_has_ended = true;
                Ok(Received::End)
            }
        }
    }

    /// Whether [`Duplex::end`] was called.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the peer's stream has ended.
    pub fn peer_has_ended(&self) -> bool {
        self.peer_has_ended
    }

    fn seal(&mut self, kind: Kind, content: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let record: Zeroizing<Vec<u8>> = record::write(kind, content)?;
        self.transport.seal(&record)
    }
}
