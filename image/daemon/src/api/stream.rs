//! A reply's way to the client: collected, or as server-sent events while it comes to be.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use sealstone_protocol::{Report, Token, Usage};
use serde_json::Value;
use tokio::time::{Instant, Sleep};

use super::engine::{Lost, Replies};
use super::error::ApiError;
use super::reply::{Shape, Text, finish_reason};
use super::text::Characters;
use crate::front::Body;

/// The least time between two events of a stream, so that neither the number nor the times of what is sent tell each
/// token's. The first token doesn't wait.
pub(super) const PACE: Duration = Duration::from_millis(50);

/// What has come of a reply and wasn't passed on.
#[derive(Debug, Default)]
struct Gathered {
    characters: Characters,
    text: Text,
}

/// How a reply ended.
struct End {
    reason: &'static str,
    usage: Usage,
}

impl Gathered {
    /// Takes a report in; the end, if it was that.
    fn take(&mut self, report: Result<Report, Lost>, input: &'static str) -> Result<Option<End>, ApiError> {
        match report? {
            Report::Token(token) => {
                self.token(token);
                Ok(None)
            }
            Report::Done(done) => {
                let text = self.characters.push(&done.text);
                self.text.text.push_str(&text);
                self.text.text.push_str(&self.characters.end());
                let reason = finish_reason(done.finish).ok_or_else(ApiError::internal)?;
                Ok(Some(End { reason, usage: done.usage }))
            }
            Report::Failed { failure, .. } => Err(ApiError::failure(failure, input)),
            _ => Err(ApiError::internal()),
        }
    }

    fn token(&mut self, token: Token) {
        self.text.text.push_str(&self.characters.push(&token.text));
        if let Some(logprobs) = token.logprobs {
            self.text.logprobs.get_or_insert_default().push(logprobs);
        }
    }

    fn is_empty(&self) -> bool {
        self.text.text.is_empty() && self.text.logprobs.is_none()
    }

    /// What there is, which then is passed on.
    fn give(&mut self) -> Text {
        let offset = self.text.offset.saturating_add(self.text.text.chars().count());
        std::mem::replace(&mut self.text, Text { offset, ..Text::default() })
    }
}

/// The reply in one piece.
pub(super) async fn whole(mut replies: Replies, shape: Shape, input: &'static str) -> Result<Value, ApiError> {
    let mut gathered = Gathered::default();
    loop {
        if let Some(end) = gathered.take(replies.next().await, input)? {
            return Ok(shape.whole(&gathered.give(), end.reason, end.usage));
        }
    }
}

/// The reply as events. It begins once the engine has, so that what is wrong with the request is still a response of its own.
pub(super) async fn events(
    mut replies: Replies,
    shape: Shape,
    usage: bool,
    input: &'static str,
) -> Result<Response<Body>, ApiError> {
    let mut gathered = Gathered::default();
    let end = gathered.take(replies.next().await, input)?;
    let stage = end.map_or(Stage::Going, Stage::Ending);
    let events = Events { replies, shape, usage, input, gathered, stage, is_first: true, pause: None };
    let mut response = Response::new(events.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The body of a stream. Dropped with its connection, it drops `replies`, and that cancels the request.
struct Events {
    replies: Replies,
    shape: Shape,
    usage: bool,
    input: &'static str,
    gathered: Gathered,
    stage: Stage,
    is_first: bool,
    /// Until the next event may be sent.
    pause: Option<Pin<Box<Sleep>>>,
}

enum Stage {
    Going,
    Ending(End),
    Failing(ApiError),
    Over,
}

impl Events {
    /// Takes in whatever has come, without waiting.
    fn gather(&mut self, cx: &mut Context<'_>) {
        while matches!(self.stage, Stage::Going) {
            let Poll::Ready(report) = self.replies.poll_next(cx) else { return };
            match self.gathered.take(report, self.input) {
                Ok(None) => {}
                Ok(Some(end)) => self.stage = Stage::Ending(end),
                Err(error) => self.stage = Stage::Failing(error),
            }
        }
    }

    /// Whether the time for an event has come; it then starts anew.
    fn may_send(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.pause {
            None => self.pause = Some(Box::pin(tokio::time::sleep(PACE))),
            Some(pause) => {
                if pause.as_mut().poll(cx).is_pending() {
                    return false;
                }
                pause.as_mut().reset(Instant::now().checked_add(PACE).unwrap_or_else(Instant::now));
            }
        }
        true
    }

    fn piece(&mut self, finish: Option<&'static str>) -> String {
        let text = self.gathered.give();
        let is_first = std::mem::take(&mut self.is_first);
        event(&self.shape.piece(&text, is_first, finish, self.usage))
    }

    /// Everything that is left, at once.
    fn last(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Going | Stage::Over => None,
            Stage::Ending(end) => {
                let mut out = if self.is_first || !self.gathered.is_empty() { self.piece(None) } else { String::new() };
                out.push_str(&self.piece(Some(end.reason)));
                if self.usage {
                    out.push_str(&event(&self.shape.usage(end.usage)));
                }
                out.push_str("data: [DONE]\n\n");
                Some(out)
            }
            Stage::Failing(error) => {
                let mut out = if self.gathered.is_empty() { String::new() } else { self.piece(None) };
                out.push_str(&event(&error.json()));
                Some(out)
            }
        }
    }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        this.gather(cx);
        let (is_going, is_over) = (matches!(this.stage, Stage::Going), matches!(this.stage, Stage::Over));
        if is_over {
            return Poll::Ready(None);
        }
        // Nothing to say yet; what comes wakes this up.
        if is_going && this.gathered.is_empty() {
            return Poll::Pending;
        }
        if !this.may_send(cx) {
            return Poll::Pending;
        }
        let out = if is_going { Some(this.piece(None)) } else { this.last() };
        Poll::Ready(out.map(|text| Ok(Frame::data(text.into()))))
    }
}
