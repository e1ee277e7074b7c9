//! Errors in the shape that OpenAI's clients read.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use sealstone_protocol::Failure;
use serde_json::{Value, json};

use super::engine::{Lost, Refused};
use crate::front::Body;

/// Seconds after which a client may ask again: a place is free after a request's end, and a small model is loaded.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Bytes of a client's own word that come back in a message. Inside the channel that tells nobody anything new.
const ECHO: usize = 64;

/// What is wrong, with a request or here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    param: Option<String>,
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { status, kind, code, param: None, message: message.into() }
    }

    /// The client's fault.
    pub(super) fn request(code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message)
    }

    /// The client's fault, in one field.
    pub(super) fn field(param: impl Into<String>, code: &'static str, message: impl Into<String>) -> ApiError {
        ApiError::request(code, message).of(param)
    }

    pub(super) fn of(self, param: impl Into<String>) -> ApiError {
        ApiError { param: Some(param.into()), ..self }
    }

    pub(super) fn unknown_field(name: &str) -> ApiError {
        let short: String = name.chars().take(ECHO).collect();
        ApiError::field(short.clone(), "unknown_parameter", format!("unknown parameter: {short}"))
    }

    pub(super) fn unknown_model() -> ApiError {
        let message = "the model isn't among those of this image, see /v1/models";
        ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", "model_not_found", message).of("model")
    }

    pub(super) fn method() -> ApiError {
        let message = "not with this method";
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", "method_not_allowed", message)
    }

    pub(super) fn too_large(limit: usize) -> ApiError {
        let message = format!("a body of more than {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", "request_too_large", message)
    }

    pub(super) fn body_timeout() -> ApiError {
        let message = "the body didn't come in time";
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", "request_timeout", message)
    }

    pub(super) fn busy() -> ApiError {
        let message = "too many requests at a time; ask again";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "queue_full", message)
    }

    pub(super) fn internal() -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal_error", "a fault of the server")
    }

    fn unavailable(code: &'static str, message: &'static str) -> ApiError {
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message)
    }

    /// What an engine answered; `input` is the field that holds the model's input.
    pub(super) fn failure(failure: Failure, input: &'static str) -> ApiError {
        let fault = |code, message| ApiError::field(input, code, message);
        match failure {
            Failure::TooLong => fault("context_length_exceeded", "the input leaves no room in the model's context"),
            Failure::Empty => fault("empty_input", "there is nothing to continue"),
            Failure::UnknownToken => fault("unknown_token", "the model has no such token"),
            Failure::Schema => ApiError::field("response_format", "invalid_json_schema", "the JSON schema can't be used"),
            Failure::Unsupported => ApiError::field("model", "unsupported_by_model", "the model can't do this"),
            Failure::Busy => ApiError::busy(),
            Failure::NoTemplate => {
                let message = "the model has no chat template; use /v1/completions";
                ApiError::field("model", "no_chat_template", message)
            }
            Failure::TemplateRefused => fault("chat_template", "the model's chat template doesn't accept these messages"),
            Failure::TemplateFaulty => {
                let message = "the model's chat template fails; use /v1/completions";
                ApiError::field("model", "chat_template_faulty", message)
            }
            Failure::TemplateBounds => {
                fault("chat_template_bounds", "the model's chat template takes too many steps for these messages")
            }
            _ => ApiError::internal(),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }

    pub(super) fn response(&self) -> Response<Body> {
        let mut response = json_response(self.status, &self.json());
        let headers = response.headers_mut();
        if self.status == StatusCode::TOO_MANY_REQUESTS || self.code == "model_loading" {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        if self.code == "model_unavailable" {
            // OpenAI's clients try again on every 503 otherwise, and an engine that has ended doesn't come back.
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Loading => ApiError::unavailable("model_loading", "the model is being loaded"),
            Refused::Gone => ApiError::unavailable("model_unavailable", "the model's engine has ended"),
            Refused::Busy => ApiError::busy(),
            Refused::Unencodable => ApiError::internal(),
        }
    }
}

impl From<Lost> for ApiError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Gone => Refused::Gone.into(),
            Lost::Slow => ApiError::unavailable("client_too_slow", "the reply was taken too slowly"),
            Lost::Time => ApiError::unavailable("timeout", "the reply took too long"),
        }
    }
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    json_body(status, Bytes::from(value.to_string()))
}

pub(super) fn json_body(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
