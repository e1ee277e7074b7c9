//! From an address to a WebSocket (RFC 6455, section 4.1).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use sealstone_channel::limits::{PATH, SUBPROTOCOL};
use sealstone_channel::stream::{Masks, Wire};
use sealstone_channel::websocket::{self, Mask};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{ClientError, Target};

/// For a connection, over whatever distance.
const CONNECT: Duration = Duration::from_secs(10);

/// Bytes of an answer's head.
const HEAD_BYTES: usize = 16 * 1024;

pub(crate) type Io = TokioIo<Upgraded>;

/// A WebSocket to `target`.
pub(crate) async fn open(target: &Target) -> Result<Wire<Io>, ClientError> {
    let unreachable = |error| ClientError::Unreachable { target: target.to_string(), error };
    let connecting = timeout(CONNECT, TcpStream::connect((target.host(), target.port())));
    let stream = connecting.await.map_err(|_| ClientError::TimedOut("connecting"))?.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let no_channel = |error: hyper::Error| ClientError::NoChannel(error.to_string());
    let mut builder = http1::Builder::new();
    let (mut sender, connection) = builder.max_buf_size(HEAD_BYTES).handshake(TokioIo::new(stream)).await.map_err(no_channel)?;
    tokio::spawn(connection.with_upgrades());
    let key = websocket_key()?;
    let request = Request::get(PATH)
        .header(HOST, target.authority())
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key)
        .header(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
        .body(Empty::<Bytes>::new())
        .map_err(|_| ClientError::Host("the address can't stand in a request"))?;
    let response = sender.send_request(request).await.map_err(no_channel)?;
    let header = |name| response.headers().get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => {}
        StatusCode::TOO_MANY_REQUESTS => return Err(ClientError::Busy),
        status => return Err(ClientError::NoChannel(status.to_string())),
    }
    if header(SEC_WEBSOCKET_ACCEPT) != Some(&websocket::accept(&key)) || header(SEC_WEBSOCKET_PROTOCOL) != Some(SUBPROTOCOL) {
        return Err(ClientError::NoChannel("with a WebSocket of another kind".to_owned()));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(no_channel)?;
    Ok(Wire::new(TokioIo::new(upgraded), Masks::Client(mask)))
}

/// 16 random bytes in base64. They need not be unpredictable, but differ (section 4.1); so a few bits less do no harm.
fn websocket_key() -> Result<String, ClientError> {
    const DIGITS: &[u8; 16] = b"ABCDEFGHIJKLMNOP";
    let random = random::<21>()?;
    let digits = random.iter().map(|byte| char::from(DIGITS[usize::from(byte & 15)]));
    // 22 digits carry 128 bits and four zeros, so the last digit is one of A, Q, g and w.
    Ok(digits.chain("A==".chars()).collect())
}

/// The next frame's mask. Without randomness it is zero, which protects proxies less and this client no less.
fn mask() -> Mask {
    Mask(random().unwrap_or_default())
}

/// Bytes of the kernel's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ClientError> {
    use rustix::rand::{GetRandomFlags, getrandom};
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(length) if length == N => Ok(bytes),
        Ok(_) | Err(_) => Err(ClientError::Host("no random bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_keys_and_differ() {
        let keys = [websocket_key().unwrap(), websocket_key().unwrap()];
        assert!(keys.iter().all(|key| websocket::is_key(key)), "{keys:?}");
        assert_ne!(keys[0], keys[1]);
    }
}
