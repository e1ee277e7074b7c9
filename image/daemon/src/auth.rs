//! Who may use the API: whoever shows a token that a key of the measured configuration has signed.
//!
//! A token is a JWT (RFC 7519) with an Ed25519 signature (RFC 8037), as `Authorization: Bearer` of each request inside the channel. It is looked
//! for nowhere else: in a URL it would end in histories and logs.
//!
//! - `token`: a token's three parts, and its signature
//! - `claims`: what it says
//! - `base64url`: how the parts are written
//!
//! The clock is the host's. So that a host can't turn it back to let an old token in again, the time is never earlier than the latest `iat` of
//! a token that was let in. Nothing keeps a host that stops the clock from letting a token in for longer.

mod base64url;
mod claims;
mod token;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

use crate::front::problem;

/// Who signs tokens, and for whom.
#[derive(Debug)]
pub struct Auth {
    audience: String,
    keys: Vec<VerifyingKey>,
    /// Seconds since 1970: the latest time that an issuer is known to have seen.
    seen: AtomicU64,
}

/// A key of the configuration verifies nothing, or anything: it isn't a point of the curve, or one of its small subgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKey;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// To read the counters of what goes on in sessions, besides using the API.
    pub(crate) metrics: bool,
}

/// Why a request isn't let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// It shows no token.
    Missing,
    /// It shows something else, or a token of somebody else's, for somebody else, or for later.
    Invalid,
    /// The token was good once.
    Expired,
}

impl Auth {
    /// As the configuration says.
    ///
    /// # Errors
    /// A key that no token can be trusted by.
    pub fn new(auth: &sealstone_config::Auth) -> Result<Auth, WeakKey> {
        let key = |key: &sealstone_config::AuthKey| {
            VerifyingKey::from_bytes(key.as_bytes()).ok().filter(|key| !key.is_weak()).ok_or(WeakKey)
        };
        let keys = auth.keys.iter().map(key).collect::<Result<_, _>>()?;
        Ok(Auth { audience: auth.audience.as_str().to_owned(), keys, seen: AtomicU64::new(0) })
    }

    /// What the token among `headers` allows by the machine's clock.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<Allowed, Denied> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.check_at(headers, now)
    }

    /// Whether a request with these values of `Authorization` is let in at `now`, in seconds since 1970. For fuzzing, which has no clock.
    pub fn lets_in(&self, values: &[&[u8]], now: u64) -> bool {
        let values = values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok());
        self.check_at(&values.map(|value| (AUTHORIZATION, value)).collect(), now).is_ok()
    }

    fn check_at(&self, headers: &HeaderMap, now: u64) -> Result<Allowed, Denied> {
        let claims = token::verify(bearer(headers)?, &self.keys).ok_or(Denied::Invalid)?;
        if !claims.is_for(&self.audience) {
            return Err(Denied::Invalid);
        }
        let issued = claims.issued.unwrap_or(0);
        claims.check_time(now.max(self.seen.load(Ordering::Relaxed)).max(issued))?;
        self.seen.fetch_max(issued, Ordering::Relaxed);
        Ok(Allowed { metrics: claims.has_scope("metrics") })
    }
}

/// The token, if there is exactly one (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&[u8], Denied> {
    const SCHEME: &[u8] = b"bearer ";
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Err(Denied::Missing),
        (Some(value), None) => value.as_bytes(),
        (Some(_), Some(_)) => return Err(Denied::Invalid),
    };
    match value.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => Ok(token),
        _ => Err(Denied::Invalid),
    }
}

impl Denied {
    /// The answer, which repeats nothing of the token.
    pub(crate) fn response(self) -> Response<Full<Bytes>> {
        let (code, challenge) = match self {
            Denied::Missing => ("missing_token", r#"Bearer realm="sealstone""#),
            Denied::Invalid => ("invalid_token", r#"Bearer realm="sealstone", error="invalid_token""#),
            Denied::Expired => ("expired_token", r#"Bearer realm="sealstone", error="invalid_token""#),
        };
        let mut response = problem(StatusCode::UNAUTHORIZED, code);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

#[cfg(test)]
mod tests;
