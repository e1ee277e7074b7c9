//! The HTTP client: what may pass between a mirror and us, and how its failures are told apart.
//!
//! Nothing that comes is trusted, so transport security is not what protects the build; https is there for mirrors that offer
//! nothing else. Only `GET` with a fixed user agent is sent, no compression is asked for, and time and redirects are bounded.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use ureq::config::AutoHeaderValue;
use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use crate::error::{InputsError, Result};

/// Hops that a mirror may send us over before it counts as a loop. Mirrors and their caches use one or two.
const MAX_REDIRECTS: u32 = 5;

/// A mirror that sends less than this on average over a whole file is given up. Lower, and one dripping mirror stalls a build.
const FLOOR_BYTES_PER_SECOND: u64 = 16 * 1024;

/// Longest pause that a mirror's `Retry-After` is followed for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where distributions keep the bundle of root certificates, asked in this order if `SSL_CERT_FILE` names none.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How the network is reached.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Proxy for `http://` URLs.
    pub http_proxy: Option<String>,
    /// Proxy for `https://` URLs.
    pub https_proxy: Option<String>,
    /// Hosts that are reached directly, separated by commas; each stands for itself and what is below it.
    pub no_proxy: Option<String>,
    /// PEM file of root certificates to use instead of the system's.
    pub certificates: Option<PathBuf>,
    /// How patient to be.
    pub patience: Patience,
}

impl Network {
    /// From the variables that other programs use as well: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` (each but the
    /// first also in upper case: `HTTP_PROXY` can be set by a remote party where a web server runs us) and `SSL_CERT_FILE`.
    pub fn from_variables(lookup: &impl Fn(&str) -> Option<String>) -> Network {
        let set = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let either = |name: &str| set(name).or_else(|| set(&name.to_ascii_uppercase()));
        Network {
            http_proxy: set("http_proxy").or_else(|| either("all_proxy")),
            https_proxy: either("https_proxy").or_else(|| either("all_proxy")),
            no_proxy: either("no_proxy"),
            certificates: set("SSL_CERT_FILE").map(PathBuf::from),
            patience: Patience::default(),
        }
    }
}

/// How long to wait, and how often to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often one mirror is asked for one file while its failures look passing.
    pub attempts: u32,
    /// Pause before the second attempt; doubles with each.
    pub pause: Duration,
    /// Longest time to look a host up, and again to connect to it.
    pub connect: Duration,
    /// Longest time without a byte.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            attempts: 5,
            pause: Duration::from_millis(500),
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(30),
        }
    }
}

/// Why a mirror did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It says that it does not have the file.
    Missing(String),
    /// Asking again may help; the mirror may have said when.
    Passing { problem: String, pause: Option<Duration> },
    /// Asking again will not help.
    Lasting(String),
}

impl Refusal {
    pub(crate) fn passing(problem: impl Into<String>) -> Refusal {
        Refusal::Passing { problem: problem.into(), pause: None }
    }

    pub(crate) fn problem(&self) -> &str {
        match self {
            Refusal::Missing(problem) | Refusal::Lasting(problem) | Refusal::Passing { problem, .. } => problem,
        }
    }
}

/// A mirror's answer.
pub(crate) struct Answer {
    /// What it says the length is.
    pub(crate) length: Option<u64>,
    /// The one header that was asked for, if it is there and is ASCII.
    pub(crate) header: Option<String>,
    /// The bytes, as they come.
    pub(crate) body: Box<dyn Read>,
}

/// Reaches mirrors. Costs nothing until the first request.
pub(crate) struct Client {
    network: Network,
    http_proxy: Option<Proxy>,
    https_proxy: Option<Proxy>,
    agents: OnceLock<Agents>,
}

struct Agents {
    http: Agent,
    https: std::result::Result<Agent, String>,
}

impl Client {
    /// Checks the settings; touches neither network nor files.
    pub(crate) fn new(network: &Network) -> Result<Client> {
        let no_proxy = network.no_proxy.as_deref().unwrap_or_default();
        Ok(Client {
            http_proxy: proxy("http_proxy", network.http_proxy.as_deref(), no_proxy)?,
            https_proxy: proxy("https_proxy", network.https_proxy.as_deref(), no_proxy)?,
            network: network.clone(),
            agents: OnceLock::new(),
        })
    }

    pub(crate) fn patience(&self) -> Patience {
        self.network.patience
    }

    /// Asks for a URL whose content is at most `size` bytes long; the size decides how long the whole transfer may take.
    pub(crate) fn get(&self, url: &str, size: u64) -> std::result::Result<Answer, Refusal> {
        self.ask(url, size, MAX_REDIRECTS, None)
    }

    /// The same without following redirects: for services of which it matters who is asked. `header` is kept of the answer's headers.
    pub(crate) fn get_there(&self, url: &str, size: u64, header: Option<&str>) -> std::result::Result<Answer, Refusal> {
        self.ask(url, size, 0, header)
    }

    fn ask(&self, url: &str, size: u64, redirects: u32, header: Option<&str>) -> std::result::Result<Answer, Refusal> {
        let agents = self.agents.get_or_init(|| self.agents());
        let agent = match (url.starts_with("https:"), &agents.https) {
            (true, Err(problem)) => return Err(Refusal::Lasting(problem.clone())),
            (true, Ok(agent)) => agent,
            (false, _) => &agents.http,
        };
        let Patience { connect, silence, .. } = self.network.patience;
        let whole = Duration::from_secs(size / FLOOR_BYTES_PER_SECOND).saturating_add(connect * 2).saturating_add(silence * 2);
        let request = agent.get(url).config().timeout_global(Some(whole)).max_redirects(redirects);
        // Where none is followed, the redirect itself is the answer, and is refused by its status.
        let response = request.max_redirects_will_error(redirects > 0).build().call().map_err(refusal)?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(refused_status(status, retry_after(&response)));
        }
        let length = response.body().content_length();
        let header = header.and_then(|name| response.headers().get(name)?.to_str().ok()).map(str::to_owned);
        Ok(Answer { length, header, body: Box::new(response.into_body().into_with_config().limit(u64::MAX).reader()) })
    }

    fn agents(&self) -> Agents {
        let roots = self.roots();
        // A broken bundle must not stop plain http; a redirect from there to https then has the roots that are compiled in.
        let http = self.agent(&self.http_proxy, roots.clone().unwrap_or(RootCerts::WebPki));
        Agents { http, https: roots.map(|roots| self.agent(&self.https_proxy, roots)) }
    }

    fn agent(&self, proxy: &Option<Proxy>, roots: RootCerts) -> Agent {
        let Patience { connect, silence, .. } = self.network.patience;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .max_redirects_will_error(true)
            .user_agent(concat!("sealstone/", env!("CARGO_PKG_VERSION")))
            .accept("*/*")
            .accept_encoding(AutoHeaderValue::None)
            .timeout_resolve(Some(connect))
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .proxy(proxy.clone())
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        config.build().into()
    }

    /// The named bundle, else the system's, else the roots that are compiled in.
    fn roots(&self) -> std::result::Result<RootCerts, String> {
        if let Some(path) = &self.network.certificates {
            let pem = fs::read(path).map_err(|error| format!("SSL_CERT_FILE: reading {}: {error}", path.display()))?;
            return bundle(&pem).ok_or_else(|| format!("SSL_CERT_FILE: {} holds no certificate in PEM form", path.display()));
        }
        Ok(BUNDLES.iter().filter_map(|path| fs::read(path).ok()).find_map(|pem| bundle(&pem)).unwrap_or(RootCerts::WebPki))
    }
}

fn bundle(pem: &[u8]) -> Option<RootCerts> {
    let items = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = items.collect();
    (!certificates.is_empty()).then(|| RootCerts::new_with_certs(&certificates))
}

/// A proxy from its URL, with the hosts that go past it.
fn proxy(name: &str, url: Option<&str>, no_proxy: &str) -> Result<Option<Proxy>> {
    let Some(url) = url else { return Ok(None) };
    let refuse = || InputsError::Setting {
        name: name.to_owned(),
        problem: "is no proxy that can be used here; write http://host:port or https://host:port".to_owned(),
    };
    let parsed = Proxy::new(url.trim()).map_err(|_| refuse())?;
    if !matches!(parsed.protocol(), ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https) {
        return Err(refuse());
    }
    let mut builder = Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user).password(parsed.password().unwrap_or_default());
    }
    for host in no_proxy.split([',', ' ']).map(str::trim).filter(|host| !host.is_empty()) {
        let bare = host.trim_start_matches("*.").trim_start_matches('.');
        builder = match host {
            "*" => builder.no_proxy("*"),
            _ => builder.no_proxy(bare).no_proxy(&format!(".{bare}")),
        };
    }
    builder.build().map(Some).map_err(|_| refuse())
}

fn refused_status(status: StatusCode, pause: Option<Duration>) -> Refusal {
    let problem = match status.is_redirection() {
        true => format!("answered {status}, which isn't followed"),
        false => format!("answered {status}"),
    };
    match status.as_u16() {
        404 | 410 => Refusal::Missing(problem),
        408 | 425 | 429 | 500..=599 => Refusal::Passing { problem, pause },
        _ => Refusal::Lasting(problem),
    }
}

/// Seconds only; the other form of the header, a date, would need a clock that agrees with the mirror's.
fn retry_after(response: &ureq::http::Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn refusal(error: ureq::Error) -> Refusal {
    match &error {
        ureq::Error::Timeout(_) => Refusal::passing(error.to_string()),
        ureq::Error::Io(cause) => io_refusal(cause),
        ureq::Error::TooManyRedirects => Refusal::Lasting(format!("redirects more than {MAX_REDIRECTS} times")),
        ureq::Error::HostNotFound => Refusal::Lasting("host not found".to_owned()),
        _ => Refusal::Lasting(error.to_string()),
    }
}

/// A connection that breaks may hold the next time; a host that refuses or can't be reached is given up at once, so that a machine
/// without network is told so quickly.
pub(crate) fn io_refusal(error: &io::Error) -> Refusal {
    use io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused | HostUnreachable | NetworkUnreachable | AddrNotAvailable | NotFound | PermissionDenied => {
            Refusal::Lasting(error.to_string())
        }
        _ => Refusal::passing(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables() {
        let network = |set: &[(&str, &str)]| {
            let lookup = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
            let network = Network::from_variables(&lookup);
            (network.http_proxy.unwrap_or_default(), network.https_proxy.unwrap_or_default())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(network(&[("http_proxy", "a"), ("HTTPS_PROXY", "b")]), pair("a", "b"));
        assert_eq!(network(&[("HTTP_PROXY", "a")]), pair("", ""));
        assert_eq!(network(&[("ALL_PROXY", "a"), ("https_proxy", " ")]), pair("a", "a"));
    }

    #[test]
    fn proxies() {
        let made =
            proxy("http_proxy", Some("http://u:p%40@proxy.example:3128"), "localhost, .in.example,*.x.example").unwrap().unwrap();
        assert_eq!((made.host(), made.port(), made.username(), made.password()), ("proxy.example", 3128, Some("u"), Some("p@")));
        for (url, past) in [
            ("http://localhost/", true),
            ("http://in.example/", true),
            ("http://a.in.example/", true),
            ("http://b.x.example/", true),
            ("http://other.example/", false),
            ("http://notin.example/", false),
        ] {
            assert_eq!(made.is_no_proxy(&url.parse().unwrap()), past, "{url}");
        }
        assert_eq!(proxy("http_proxy", Some("proxy.example"), "").unwrap().unwrap().port(), 80);
        for bad in ["socks5://x.example:1080", "http://", "ftp://x.example"] {
            assert!(proxy("http_proxy", Some(bad), "").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_named_bundle_is_used_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.pem");
        fs::write(&path, "no certificate").unwrap();
        let network = Network { certificates: Some(path), ..Network::default() };
        let refused = Client::new(&network).unwrap().get("https://127.0.0.1:1/", 1).err().unwrap();
        assert!(refused.problem().contains("holds no certificate"), "{refused:?}");
    }
}
