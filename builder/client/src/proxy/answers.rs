//! Answers that the proxy makes itself.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::Body;
use crate::ClientError;
use crate::error::refusals;

/// An error in the shape that OpenAI's clients read.
pub(super) fn problem(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    json(status, &json!({"error": {"code": code, "message": message, "param": null, "type": "sealstone_proxy"}}))
}

/// What became of a request that has no answer: 503 if it may be sent again, 502 otherwise. A refusal names every check that
/// refuses, the worst first.
pub(super) fn failed(error: &ClientError) -> Response<Body> {
    if let ClientError::Busy = error {
        let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, error.code(), &error.to_string());
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    }
    let mut body =
        json!({"error": {"code": error.code(), "message": error.to_string(), "param": null, "type": "sealstone_proxy"}});
    if let (Some(verdict), Some(fields)) = (error.verdict(), body["error"].as_object_mut()) {
        let check = |check: &sealstone_release::verdict::Check| json!({"id": check.id, "expected": check.expected, "found": check.found, "why": check.why});
        fields.insert("type".to_owned(), json!("attestation_refused"));
        fields.insert("refused".to_owned(), refusals(verdict).map(check).collect());
        fields.insert("exit_code".to_owned(), json!(verdict.exit_code()));
    }
    json(StatusCode::BAD_GATEWAY, &body)
}

pub(super) fn not_allowed() -> Response<Body> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "only GET");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    response
}

pub(super) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
