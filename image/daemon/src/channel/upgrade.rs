//! From a request to a WebSocket (RFC 6455, section 4.2).

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use sealstone_channel::limits::{PATH, SUBPROTOCOL};
use sealstone_channel::stream::{Masks, Wire};
use sealstone_channel::websocket;
use tokio::sync::OwnedSemaphorePermit;

use super::{Channel, handshake};
use crate::front::{Answer, busy, draining, not_allowed, problem};
use crate::metrics::Outside;

/// The only version of WebSocket that was ever finished.
const VERSION: &str = "13";

/// Whether this is for [`upgrade`].
pub fn is_asked_for<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}

/// A place among the sessions and one among the handshakes, given back when dropped.
pub(super) struct Places {
    pub(super) session: OwnedSemaphorePermit,
    pub(super) handshake: OwnedSemaphorePermit,
}

/// Switches protocols and starts a session, or says why not.
pub fn upgrade<A: Answer>(channel: &Arc<Channel>, front: Arc<A>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let accept = match check(&request) {
        Ok(accept) => accept,
        Err(response) => return *response,
    };
    let metrics = front.life().metrics();
    if front.life().is_draining() {
        metrics.count(Outside::ChannelDraining);
        return draining();
    }
    let Some(places) = places(channel) else {
        metrics.count(Outside::ChannelBusy);
        return busy();
    };
    metrics.count(Outside::Channel);
    let upgrade = hyper::upgrade::on(&mut request);
    let channel = Arc::clone(channel);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            handshake::run(channel, front, Wire::new(TokioIo::new(upgraded), Masks::Server), places).await;
        }
    });
    switching(&accept)
}

fn places(channel: &Channel) -> Option<Places> {
    let session = Arc::clone(&channel.sessions).try_acquire_owned().ok()?;
    let handshake = Arc::clone(&channel.handshakes).try_acquire_owned().ok()?;
    Some(Places { session, handshake })
}

/// The value of `Sec-WebSocket-Accept`, or the answer to a request that isn't one for this protocol.
fn check<B>(request: &Request<B>) -> Result<String, Box<Response<Full<Bytes>>>> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(Box::new(not_allowed("GET")));
    }
    if request.uri().query().is_some() {
        return Err(Box::new(problem(StatusCode::NOT_FOUND, "not_found")));
    }
    let is_websocket = request.version() == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket");
    if !is_websocket || only(headers, &SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        let mut response = problem(StatusCode::UPGRADE_REQUIRED, "upgrade_required");
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        return Err(Box::new(response));
    }
    if !has_token(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        return Err(Box::new(problem(StatusCode::BAD_REQUEST, "unknown_subprotocol")));
    }
    match only(headers, &SEC_WEBSOCKET_KEY).filter(|key| websocket::is_key(key)) {
        Some(key) => Ok(websocket::accept(key)),
        None => Err(Box::new(problem(StatusCode::BAD_REQUEST, "invalid_websocket_key"))),
    }
}

fn switching(accept: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    // Base64 is always a header's value.
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// Whether `token` is in the list that `name` has; letters' case doesn't count.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// The field's value, if it stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "other, sealstone.v1"),
    ];

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let builder = Request::builder().uri("/v1/channel");
        headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value)).body(()).unwrap()
    }

    #[test]
    fn a_good_request_is_accepted() {
        assert_eq!(check(&request(&GOOD)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn whatever_is_missing_or_wrong_is_named() {
        for (gone, status) in [(0, 426), (1, 426), (2, 426), (3, 400), (4, 400)] {
            let headers: Vec<_> = GOOD.iter().enumerate().filter(|(i, _)| *i != gone).map(|(_, h)| *h).collect();
            assert_eq!(check(&request(&headers)).unwrap_err().status().as_u16(), status, "without {}", GOOD[gone].0);
        }
        for (changed, value, status) in [
            (0, "close", 426),
            (1, "h2c", 426),
            (2, "8", 426),
            (2, "13, 8", 426),
            (3, "dGhlIHNhbXBsZSBub25jZQ", 400),
            (4, "sealstone.v2", 400),
            (4, "sealstone.v1x", 400),
        ] {
            let mut headers = GOOD;
            headers[changed].1 = value;
            assert_eq!(check(&request(&headers)).unwrap_err().status().as_u16(), status, "{value}");
        }
        let twice = [&GOOD[..], &[GOOD[3]]].concat();
        assert_eq!(check(&request(&twice)).unwrap_err().status(), 400, "two keys");
        let mut post = request(&GOOD);
        *post.method_mut() = Method::POST;
        assert_eq!(check(&post).unwrap_err().status(), 405);
        let mut query = request(&GOOD);
        *query.uri_mut() = "/v1/channel?a".parse().unwrap();
        assert_eq!(check(&query).unwrap_err().status(), 404);
        // HTTP/1.0 has no upgrade: what says so there is to be ignored (RFC 9110, section 7.8).
        let mut old = request(&GOOD);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old).unwrap_err().status(), 426);
    }
}
