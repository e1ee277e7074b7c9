//! What a booted image says of itself: the evidence document, asked for over loopback and taken apart into the files that `explain` and
//! `verify` read.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use data_encoding::{BASE64, HEXLOWER};
use serde::Deserialize;

use crate::error::PipelineError;
use crate::folder;

/// How long the guest may take to answer: an emulated machine makes a quote in well under a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than an event log of 128 KiB and a quote need; a guest that sends more is broken.
const MOST_BYTES: u64 = 1 << 20;

/// The answer of `GET /v1/evidence`. Source: docs/formats/evidence.md, "Document".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    ak_public: String,
    #[serde(rename = "config")]
    _config: String,
    event_log: String,
    quote: String,
    schema: String,
    signature: String,
    tee: String,
}

/// Asks the daemon behind loopback port `port` for evidence with `nonce`, and writes to `dir`: `evidence.json` as it came, the `nonce`, and its parts
/// `eventlog.bin` (TCG2), `quote.bin` (TPMS_ATTEST), `signature.bin` (TPMT_SIGNATURE) and `ak.bin` (TPM2B_PUBLIC).
///
/// # Errors
/// [`PipelineError::Boot`] if the daemon doesn't answer with such a document.
pub fn save_evidence(port: u16, nonce: &[u8; 32], dir: &Path) -> Result<(), PipelineError> {
    let refuse = |problem: String| PipelineError::Boot(format!("the daemon's evidence: {problem}"));
    let body = get(port, &format!("/v1/evidence?nonce={}", HEXLOWER.encode(nonce))).map_err(|e| refuse(e.to_string()))??;
    let document: Document = serde_json::from_slice(&body).map_err(|e| refuse(e.to_string()))?;
    if (document.schema.as_str(), document.tee.as_str()) != ("sealstone/evidence/v1", "tpm2") {
        return Err(refuse(format!("schema {:?} with tee {:?} is not known here", document.schema, document.tee)));
    }
    std::fs::create_dir_all(dir).map_err(|source| PipelineError::Io { doing: "creating", path: dir.to_path_buf(), source })?;
    folder::write_file(&dir.join("evidence.json"), &body)?;
    // What `verify --nonce` takes.
    folder::write_file(&dir.join("nonce"), HEXLOWER.encode(nonce).as_bytes())?;
    let parts = [
        ("eventlog.bin", &document.event_log),
        ("quote.bin", &document.quote),
        ("signature.bin", &document.signature),
        ("ak.bin", &document.ak_public),
    ];
    for (name, text) in parts {
        let bytes = BASE64.decode(text.as_bytes()).map_err(|e| refuse(format!("{name}: {e}")))?;
        folder::write_file(&dir.join(name), &bytes)?;
    }
    Ok(())
}

/// Puts what `/healthz` says into `file`, once it no longer says that some model is loading.
///
/// # Errors
/// [`PipelineError::Boot`] if the daemon on this loopback port doesn't answer, or with another status than 200.
pub fn save_health(port: u16, file: &Path) -> Result<(), PipelineError> {
    let started = Instant::now();
    loop {
        let body = get(port, "/healthz").map_err(|e| PipelineError::Boot(format!("asking the daemon for its health: {e}")))??;
        let loading = memchr::memmem::find(&body, b"\"loading\"").is_some();
        if !loading || started.elapsed() >= PATIENCE {
            return folder::write_file(file, &body);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The body of an answer with status 200. One request on one connection, which the guest closes: no HTTP client is needed for that.
fn get(port: u16, target: &str) -> std::io::Result<Result<Vec<u8>, PipelineError>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    let refuse = |problem: String| PipelineError::Boot(format!("the daemon's answer to {target}: {problem}"));
    let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") else {
        return Ok(Err(refuse("has no end of its header".into())));
    };
    let (header, body) = answer.split_at(end);
    let status = String::from_utf8_lossy(header).lines().next().unwrap_or_default().to_string();
    match status.strip_prefix("HTTP/1.1 200") {
        Some(_) => Ok(Ok(body.get(4..).unwrap_or_default().to_vec())),
        None => Ok(Err(refuse(status))),
    }
}
