//! What a client asks inside a session to learn whether this boot's attestation key is in a TPM whose endorsement key is certified.
//!
//! Only inside: whoever asks has at least shaken hands, and the TPM does at most as much for a session as for a handshake. What is
//! sent and answered stands in `docs/formats/evidence.md`.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::time;

use super::{busy, json, not_allowed, problem};
use crate::evidence::quotes::{Endorser, QuoteError};
use crate::tpm::Credential;

const CERTIFICATE: &str = "/v1/tpm/endorsement";
const ACTIVATE: &str = "/v1/tpm/activate";

/// From the head of a request to the end of its body, which fits one record.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Whether this is for [`answer`].
pub(super) fn is_asked_for(head: &Parts) -> bool {
    [CERTIFICATE, ACTIVATE].contains(&head.uri.path()) && head.uri.query().is_none()
}

/// The answer to a request that [`is_asked_for`].
pub(super) async fn answer<B>(endorser: Option<&Endorser>, head: &Parts, body: B) -> Response<Full<Bytes>>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let allowed = if head.uri.path() == CERTIFICATE { Method::GET } else { Method::POST };
    let Some(endorser) = endorser else {
        return problem(StatusCode::NOT_FOUND, "no_endorsement");
    };
    if head.method != allowed {
        return not_allowed(if allowed == Method::GET { "GET" } else { "POST" });
    }
    if allowed == Method::GET {
        return binary("application/pkix-cert", endorser.certificate().clone());
    }
    let received = time::timeout(BODY_TIME, receive(body)).await;
    let Some(credential) = received.ok().flatten().and_then(|bytes| Credential::parse(&bytes)) else {
        return problem(StatusCode::BAD_REQUEST, "invalid_credential");
    };
    match endorser.activate(credential).await {
        Ok(secret) => binary("application/octet-stream", secret),
        Err(QuoteError::Busy) => busy(),
        Err(QuoteError::Refused) => problem(StatusCode::BAD_REQUEST, "credential_refused"),
        Err(QuoteError::Failed) => problem(StatusCode::SERVICE_UNAVAILABLE, "tpm_failed"),
    }
}

/// The body, if it comes whole and isn't longer than a credential can be.
async fn receive<B>(body: B) -> Option<Vec<u8>>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let (mut body, mut bytes) = (pin!(body), Vec::new());
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if bytes.len().saturating_add(data.len()) > Credential::MAX {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

fn binary(kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = json(StatusCode::OK, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
