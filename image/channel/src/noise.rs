//! `Noise_NX_25519_AESGCM_SHA256` (Noise Protocol Framework, revision 34): the server shows a static key, the client none.
//!
//! The static key alone proves nothing; the evidence does, because it covers the hash of the handshake that the key was in.

use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use crate::binding::HandshakeHash;
use crate::error::ChannelError;
use crate::limits::{MAX_MESSAGE, REKEY_EVERY, TAG};
use crate::primitives::{Primitives, Secret};

/// The protocol's name, which goes into its hash.
const NAME: &str = "Noise_NX_25519_AESGCM_SHA256";

/// What both ends mix into the hash first: another protocol or version comes to other keys.
const PROLOGUE: &[u8] = b"sealstone/channel/v1";

/// Length of the client's handshake message: an ephemeral key.
pub const HELLO: usize = 32;

/// Length of the server's: an ephemeral key, the sealed static key, and the tag of an empty payload.
pub const REPLY: usize = 32 + (32 + TAG) + TAG;

/// 32 bytes from the operating system's generator, for one handshake's ephemeral key. Never to be used twice.
pub struct Entropy(Secret);

impl Entropy {
    /// Takes the bytes, which the caller should not keep.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// A server's static key pair. Wiped from memory with the value.
pub struct StaticKey(Secret);

impl StaticKey {
    /// The pair whose private half comes from `bytes`.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl std::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKey")
    }
}

fn builder<'a>(entropy: Entropy) -> Result<Builder<'a>, ChannelError> {
    let name = NAME.parse().map_err(|_| ChannelError::Handshake)?;
    Builder::with_resolver(name, Box::new(Primitives::new(entropy.0))).prologue(PROLOGUE).map_err(|_| ChannelError::Handshake)
}

/// The client's half of a handshake, between its two messages.
pub struct Initiator(HandshakeState);

impl Initiator {
    /// Begins; the message is the client's first.
    ///
    /// # Errors
    /// [`ChannelError::Handshake`], which no entropy leads to.
    pub fn start(entropy: Entropy) -> Result<(Self, [u8; HELLO]), ChannelError> {
        let mut state = builder(entropy)?.build_initiator().map_err(|_| ChannelError::Handshake)?;
        // snow wants room for a tag, although there is no key yet that could make one.
        let mut buffer = [0; HELLO + TAG];
        let length = state.write_message(&[], &mut buffer).map_err(|_| ChannelError::Handshake)?;
        let hello = buffer.get(..length).and_then(|hello| hello.try_into().ok()).ok_or(ChannelError::Handshake)?;
        Ok((Self(state), hello))
    }

    /// Ends with the server's message.
    ///
    /// # Errors
    /// [`ChannelError::Handshake`]: not a message of this protocol, or one that was changed on the way.
    pub fn finish(mut self, reply: &[u8]) -> Result<(Transport, HandshakeHash), ChannelError> {
        if reply.len() != REPLY {
            return Err(ChannelError::Handshake);
        }
        match self.0.read_message(reply, &mut []) {
            Ok(0) => Transport::new(self.0),
            Ok(_) | Err(_) => Err(ChannelError::Handshake),
        }
    }
}

/// The server's half, all at once: answers the client's message `hello`.
///
/// # Errors
/// [`ChannelError::Handshake`]: `hello` hasn't the length of one. Its content can't be wrong: any 32 bytes are a key.
pub fn respond(key: &StaticKey, entropy: Entropy, hello: &[u8]) -> Result<([u8; REPLY], Transport, HandshakeHash), ChannelError> {
    if hello.len() != HELLO {
        return Err(ChannelError::Handshake);
    }
    let refuse = |_| ChannelError::Handshake;
    let mut state = builder(entropy)?.local_private_key(&*key.0).and_then(Builder::build_responder).map_err(refuse)?;
    state.read_message(hello, &mut []).map_err(refuse)?;
    let mut reply = [0; REPLY];
    if state.write_message(&[], &mut reply).map_err(refuse)? != REPLY {
        return Err(ChannelError::Handshake);
    }
    let (transport, hash) = Transport::new(state)?;
    Ok((reply, transport, hash))
}

/// What a handshake leaves: a key and a counter for each direction. Messages open only whole, once, and in order.
pub struct Transport {
    state: TransportState,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl Transport {
    fn new(handshake: HandshakeState) -> Result<(Self, HandshakeHash), ChannelError> {
        let hash = handshake.get_handshake_hash().try_into().map(HandshakeHash).map_err(|_| ChannelError::Handshake)?;
        let state = handshake.into_transport_mode().map_err(|_| ChannelError::Handshake)?;
        Ok((Self { state }, hash))
    }

    /// Seals one message.
    ///
    /// # Errors
    /// [`ChannelError::TooMuch`]: with the tag it would be longer than [`MAX_MESSAGE`].
    pub fn seal(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, ChannelError> {
        let length = plaintext.len().checked_add(TAG).filter(|length| *length <= MAX_MESSAGE).ok_or(ChannelError::TooMuch)?;
        if is_due(self.state.sending_nonce()) {
            self.state.rekey_outgoing();
        }
        let mut message = vec![0; length];
        match self.state.write_message(plaintext, &mut message) {
            Ok(written) if written == length => Ok(message),
            Ok(_) | Err(_) => Err(ChannelError::TooMuch),
        }
    }

    /// Opens the next message.
    ///
    /// # Errors
    /// [`ChannelError::Foreign`]: not the next message of this session. Nothing after it will open either.
    pub fn open(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, ChannelError> {
        let length = message.len().checked_sub(TAG).filter(|_| message.len() <= MAX_MESSAGE).ok_or(ChannelError::Foreign)?;
        if is_due(self.state.receiving_nonce()) {
            self.state.rekey_incoming();
        }
        let mut plaintext = Zeroizing::new(vec![0; length]);
        match self.state.read_message(message, &mut plaintext) {
            Ok(read) if read == length => Ok(plaintext),
            Ok(_) | Err(_) => Err(ChannelError::Foreign),
        }
    }
}

/// Whether the message with this counter is the first under a new key.
fn is_due(counter: u64) -> bool {
    counter > 0 && counter % REKEY_EVERY == 0
}
