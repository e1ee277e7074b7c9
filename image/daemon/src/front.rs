//! What is answered: a request in, a response out. Only what the TPM or processor has to do takes more than memory.

mod endorsement;

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use sealstone_config::{MeasuredConfig, Model, Name};
use serde::Serialize;

use crate::api::Api;
use crate::auth::Auth;
use crate::channel::{Channel, Inside};
use crate::evidence::Kind;
use crate::evidence::document::{Challenge, Nonce};
use crate::evidence::quotes::{QuoteError, Quotes};
use crate::life::Life;

/// Header of `/v1/attested-config`: the SHA-256 of the body, in lower-case hex.
pub const CONFIG_SHA256: &str = "sealstone-config-sha256";
/// Header of `/v1/attested-config`: the kind of evidence that this machine can give.
pub const EVIDENCE: &str = "sealstone-evidence";

/// Counters, as far as whoever asks may know them.
const METRICS_PATH: &str = "/metrics";

/// `/v1/evidence` and the only form of its query; what follows is the nonce.
const EVIDENCE_PATH: &str = "/v1/evidence";
const NONCE_QUERY: &str = "?nonce=";

/// Seconds after which a client that found the queue full may ask again: the queue empties in less on most TPMs.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The same when this machine is about to end: time for another one to be in its place.
const RETRY_ELSEWHERE: HeaderValue = HeaderValue::from_static("10");

/// The body of an answer, all at once or as it comes to be.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// What answers requests, in the open and inside the channel.
pub trait Answer: Send + Sync + 'static {
    /// The response to a request. What isn't read of `body` is left in the connection, which the server then ends.
    fn answer<B>(&self, head: Parts, body: B, inside: &Inside) -> impl Future<Output = Response<Body>> + Send
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static;

    /// How long this serves.
    fn life(&self) -> &Life;

    /// The channel, if this has one to offer.
    fn channel(&self) -> Option<&Arc<Channel>> {
        None
    }
}

/// The answers. All but quotes and reports are known before the first request.
#[derive(Debug)]
pub struct Front {
    /// The models by name, and whether their packs are mounted.
    models: Vec<(Name, bool)>,
    config: Bytes,
    config_sha256: String,
    evidence: Kind,
    quotes: Option<Quotes>,
    channel: Option<Arc<Channel>>,
    api: Option<Arc<Api>>,
    auth: Option<Auth>,
    life: Life,
}

impl Front {
    /// A front for this configuration and evidence; `packs` is the folder where init mounts model packs.
    pub fn new(measured: &MeasuredConfig, evidence: Kind, packs: &Path) -> Front {
        let mounted = |model: &Model| packs.join(model.name.as_str()).join(model.file.as_str()).is_file();
        Front {
            models: measured.config().models.iter().map(|model| (model.name.clone(), mounted(model))).collect(),
            config: Bytes::copy_from_slice(measured.bytes()),
            config_sha256: measured.sha256().to_string(),
            evidence,
            quotes: None,
            channel: None,
            api: None,
            auth: None,
            life: Life::default(),
        }
    }

    /// The same front, which answers `/v1/evidence` with `quotes`.
    pub fn with_quotes(self, quotes: Quotes) -> Front {
        Front { quotes: Some(quotes), ..self }
    }

    /// The same front, which opens `channel` to whoever asks for it.
    pub fn with_channel(self, channel: Channel) -> Front {
        Front { channel: Some(Arc::new(channel)), ..self }
    }

    /// The same front, which answers `api` inside the channel.
    pub fn with_api(self, api: Arc<Api>) -> Front {
        Front { api: Some(api), ..self }
    }

    /// The same front, which answers the API only to whoever `auth` lets in.
    pub fn with_auth(self, auth: Auth) -> Front {
        Front { auth: Some(auth), ..self }
    }

    /// What is said in place of an answer to a request in a session, if anything is.
    fn refusal(&self, head: &Parts) -> Option<Response<Full<Bytes>>> {
        if is_about_the_machine(head) {
            return None;
        }
        if self.life.is_draining() {
            return Some(draining());
        }
        let denied = self.auth.as_ref().and_then(|auth| auth.check(&head.headers).err());
        denied.map(|denied| denied.response())
    }

    /// The counters; with `inside`, those of what goes on in sessions, too.
    fn metrics(&self, inside: bool) -> Response<Full<Bytes>> {
        let mut text = self.life.metrics().outside(self.life.sessions(), self.life.is_draining());
        if inside {
            text.push_str(&self.life.metrics().inside(self.life.requests()));
        }
        let mut response = json(StatusCode::OK, Bytes::from(text));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
        response
    }

    /// The counters for a request in a session that shows a token, which has to be a good one. `None` if it shows none, or is for something else.
    fn metrics_by_token(&self, head: &Parts) -> Option<Response<Full<Bytes>>> {
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let auth = self.auth.as_ref().filter(|_| path == METRICS_PATH && head.headers.contains_key(AUTHORIZATION))?;
        if head.method != Method::GET {
            return Some(not_allowed("GET"));
        }
        Some(auth.check(&head.headers).map_or_else(|denied| denied.response(), |allowed| self.metrics(allowed.metrics)))
    }

    /// The response to `method` on `path`. But for the nonce, queries aren't part of any of the API's paths, so one makes
    /// it another path.
    async fn open(&self, method: &Method, path_and_query: &str) -> Response<Full<Bytes>> {
        match path_and_query.strip_prefix(EVIDENCE_PATH) {
            Some(query) if query.is_empty() || query.starts_with('?') => self.evidence(method, query).await,
            _ => self.fixed(method, path_and_query),
        }
    }

    /// Evidence for a nonce. Not for HEAD, which would cost the machine a quote or report that nobody sees.
    async fn evidence(&self, method: &Method, query: &str) -> Response<Full<Bytes>> {
        if *method != Method::GET {
            return not_allowed("GET");
        }
        let Some(nonce) = query.strip_prefix(NONCE_QUERY).and_then(Nonce::parse) else {
            return problem(StatusCode::BAD_REQUEST, "invalid_nonce");
        };
        let Some(quotes) = &self.quotes else {
            return problem(StatusCode::NOT_IMPLEMENTED, "no_evidence");
        };
        match quotes.document(Challenge::Nonce(nonce)).await {
            Ok(document) => json(StatusCode::OK, document),
            Err(QuoteError::Busy) => busy(),
            Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, self.failure()),
        }
    }

    /// The code for evidence that couldn't be had: whose fault it was.
    fn failure(&self) -> &'static str {
        if self.evidence == Kind::Tpm2 { "tpm_failed" } else { "report_failed" }
    }

    fn fixed(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let answer: fn(&Front) -> Response<Full<Bytes>> = match path {
            "/healthz" => Front::healthz,
            "/v1/attested-config" => Front::attested_config,
            METRICS_PATH => |front| front.metrics(false),
            _ => return problem(StatusCode::NOT_FOUND, "not_found"),
        };
        if *method == Method::GET || *method == Method::HEAD {
            return answer(self);
        }
        not_allowed("GET, HEAD")
    }

    fn healthz(&self) -> Response<Full<Bytes>> {
        json(StatusCode::OK, Health::new(self).to_json())
    }

    fn attested_config(&self) -> Response<Full<Bytes>> {
        let mut response = json(StatusCode::OK, self.config.clone());
        let headers = response.headers_mut();
        if let Ok(digest) = HeaderValue::from_str(&self.config_sha256) {
            headers.insert(CONFIG_SHA256, digest);
        }
        headers.insert(EVIDENCE, HeaderValue::from_static(self.evidence.as_str()));
        response
    }
}

impl Answer for Front {
    /// Inside the API, and otherwise the same paths as in the open.
    async fn answer<B>(&self, head: Parts, body: B, inside: &Inside) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
    {
        if let Inside::Channel(session) = inside {
            if let Some(said) = self.refusal(&head).or_else(|| self.metrics_by_token(&head)) {
                return said.map(BodyExt::boxed_unsync);
            }
            if endorsement::is_asked_for(&head) {
                let endorser = self.quotes.as_ref().and_then(Quotes::endorser);
                return endorsement::answer(endorser, &head, body).await.map(BodyExt::boxed_unsync);
            }
            if let Some(api) = &self.api {
                if let Some(response) = api.answer(&head, body, session).await {
                    return response;
                }
            }
        }
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        self.open(&head.method, path).await.map(BodyExt::boxed_unsync)
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn channel(&self) -> Option<&Arc<Channel>> {
        self.channel.as_ref()
    }
}

/// `/healthz`: the stages of coming up, in their order.
#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    evidence: Kind,
    stages: Vec<Stage>,
    models: Vec<ModelHealth<'a>>,
}

#[derive(Serialize)]
struct Stage {
    name: &'static str,
    state: &'static str,
}

#[derive(Serialize)]
struct ModelHealth<'a> {
    name: &'a Name,
    state: &'static str,
}

impl<'a> Health<'a> {
    /// The front starts after init has done its part, so three stages are behind us; packs may be missing if optional. Where
    /// there are engines, one that has ended can't come back.
    fn new(front: &'a Front) -> Health<'a> {
        let state = |(index, (name, mounted)): (usize, &'a (Name, bool))| {
            let state = match (mounted, &front.api) {
                (false, _) => "missing",
                (true, None) => "mounted",
                (true, Some(api)) => api.state(index),
            };
            ModelHealth { name, state }
        };
        let models: Vec<_> = front.models.iter().enumerate().map(state).collect();
        let any = |state| models.iter().any(|model| model.state == state);
        let packs = if any("missing") { "degraded" } else { "ready" };
        let engines = if any("unavailable") { "degraded" } else { "ready" };
        let engines = if any("loading") { "loading" } else { engines };
        let mut stages: Vec<_> = ["config", "network"].map(|name| Stage { name, state: "ready" }).into();
        stages.push(Stage { name: "packs", state: packs });
        stages.push(Stage { name: "evidence", state: "ready" });
        if front.api.is_some() && !models.is_empty() {
            stages.push(Stage { name: "engines", state: engines });
        }
        let status = match (packs, engines) {
            _ if front.life.is_draining() => "draining",
            (_, "loading") => "loading",
            ("ready", "ready") => "ready",
            _ => "degraded",
        };
        Health { status, evidence: front.evidence, stages, models }
    }

    fn to_json(&self) -> Bytes {
        // Names and numbers only: this cannot fail, and an empty body would show if it did.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Sends a client away until later.
pub(crate) fn busy() -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "busy");
    response.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    response
}

/// Sends a client away from a machine that is about to end.
pub(crate) fn draining() -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "draining");
    response.headers_mut().insert(RETRY_AFTER, RETRY_ELSEWHERE);
    response
}

/// Whether a request is for one of the paths that are the same in the open, or by which a client judges the machine: answered to everybody,
/// and to the very end.
fn is_about_the_machine(head: &Parts) -> bool {
    endorsement::is_asked_for(head) || ["/healthz", "/v1/attested-config", EVIDENCE_PATH, METRICS_PATH].contains(&head.uri.path())
}

pub(crate) fn not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// An error in the shape that OpenAI's clients read. The code is fixed text: nothing of the request comes back.
pub(crate) fn problem(status: StatusCode, code: &'static str) -> Response<Full<Bytes>> {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{code}","param":null,"type":"{kind}"}}}}"#);
    json(status, Bytes::from(body))
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"attestation":"required","image":{"name":"t","version":"1"},"models":[{"file":"lib.rs","name":"src","required":true,"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192},{"file":"m.gguf","name":"zzz","required":false,"root":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","salt":"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":8192}],"network":{"address":"dhcp","port":8080},"schema":"sealstone/config/v1"}"#;

    const NONCE_PATH: &str = "/v1/evidence?nonce=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    /// This crate's folder stands in for `/packs`: it has `src/lib.rs`, but no `zzz/m.gguf`.
    fn front() -> Front {
        Front::new(&MeasuredConfig::parse(CONFIG.into()).unwrap(), Kind::Tpm2, Path::new(env!("CARGO_MANIFEST_DIR")))
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn routes() {
        let table = [
            (Method::GET, "/healthz", 200),
            (Method::HEAD, "/healthz", 200),
            (Method::POST, "/healthz", 405),
            (Method::GET, "/v1/attested-config", 200),
            (Method::DELETE, "/v1/attested-config", 405),
            (Method::GET, "/healthz?a=b", 404),
            (Method::GET, "/healthz/", 404),
            (Method::GET, "//healthz", 404),
            (Method::GET, "/v1/../healthz", 404),
            (Method::GET, "/", 404),
            (Method::OPTIONS, "*", 404),
            (Method::POST, "/v1/chat/completions", 404),
            (Method::GET, NONCE_PATH, 501),
            (Method::HEAD, NONCE_PATH, 405),
            (Method::POST, NONCE_PATH, 405),
            (Method::GET, "/v1/evidence", 400),
            (Method::GET, "/v1/evidence?nonce=", 400),
            (Method::GET, "/v1/evidence?nonce=00", 400),
            (Method::GET, "/v1/evidence?Nonce=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", 400),
            (Method::GET, "/v1/evidence?nonce=00112233445566778899AABBCCDDEEFF00112233445566778899aabbccddeeff", 400),
            (Method::GET, "/v1/evidence?nonce=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff&a", 400),
            (Method::GET, "/v1/evidence/", 404),
            (Method::GET, "/v1/evidences", 404),
        ];
        let front = front();
        for (method, path, status) in table {
            let response = block_on(front.open(&method, path));
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            assert_eq!(response.headers().contains_key(ALLOW), status == 405, "{method} {path}");
        }
    }

    #[test]
    fn health_names_every_model() {
        let health: serde_json::Value = serde_json::from_slice(&Health::new(&front()).to_json()).unwrap();
        let states = serde_json::json!([{"name": "src", "state": "mounted"}, {"name": "zzz", "state": "missing"}]);
        assert_eq!(health["models"], states);
        assert_eq!(health["status"], "degraded");
        assert_eq!(health["evidence"], "tpm2");
        let names: Vec<_> = health["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["config", "network", "packs", "evidence"]);
    }

    #[test]
    fn the_api_is_inside_only() {
        let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
        let front = front().with_api(Arc::new(Api::new(&measured, Vec::new(), crate::api::Limits::DEFAULT)));
        let ask = |method: Method, path: &str, inside: &Inside| {
            let (head, body) =
                hyper::Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap().into_parts();
            block_on(front.answer(head, body, inside)).status().as_u16()
        };
        let inside = Inside::Channel(crate::channel::Session::salted([0; 32]));
        let table = [
            (Method::GET, "/v1/models", 200),
            (Method::GET, "/v1/models/src", 200),
            (Method::POST, "/v1/chat/completions", 400),
            (Method::POST, "/v1/completions", 400),
            (Method::POST, "/v1/embeddings", 400),
        ];
        for (method, path, status) in table {
            assert_eq!(ask(method.clone(), path, &inside), status, "{path}");
            assert_eq!(ask(method, path, &Inside::Open), 404, "{path}");
        }
        assert_eq!((ask(Method::GET, "/healthz", &inside), ask(Method::GET, "/v1/nothing", &inside)), (200, 404));
    }

    #[test]
    fn health_tells_of_engines() {
        let measured = MeasuredConfig::parse(CONFIG.into()).unwrap();
        let front = front().with_api(Arc::new(Api::new(&measured, Vec::new(), crate::api::Limits::DEFAULT)));
        let health: serde_json::Value = serde_json::from_slice(&Health::new(&front).to_json()).unwrap();
        let states = serde_json::json!([{"name": "src", "state": "unavailable"}, {"name": "zzz", "state": "missing"}]);
        assert_eq!((&health["models"], health["status"].as_str()), (&states, Some("degraded")));
        assert_eq!(health["stages"][4], serde_json::json!({"name": "engines", "state": "degraded"}));
    }

    #[test]
    fn errors_are_json_and_repeat_nothing() {
        let response = block_on(front().open(&Method::GET, "/secret"));
        let body = format!("{:?}", response.body());
        assert!(body.contains("not_found") && !body.contains("secret"), "{body}");
    }
}
