//! The exchange by which a machine's TPM shows that the attestation key sits beside a certified endorsement key.
//!
//! It goes through a session whose evidence is good but for that, and nothing of the user's is in it: a question without content, and a
//! secret of this exchange, encrypted to the certified key.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use sealstone_channel::stream::Stream;
use sealstone_evidence::tpm::{Activated, AttestationKey, Challenge, EndorsementCertificate, Randomness};
use sealstone_release::verdict::Endorsement;
use tokio::time::timeout;

use crate::upgrade::{Io, random};

/// For both requests. A hardware TPM makes its RSA endorsement key anew in some seconds.
const TIME: Duration = Duration::from_secs(30);

/// Bytes of an answer: a certificate has one to two kilobytes.
const MAX_ANSWER: usize = 8 * 1024;

/// Asks for the certificate, and then for the secret in what is encrypted to it and to `key`'s name. Whether the certificate is under a root
/// is the verdict's to say.
pub(crate) async fn exchange(stream: Stream<Io>, key: &AttestationKey) -> Endorsement {
    match timeout(TIME, ask(stream, key)).await {
        Ok(Ok(activated)) => Endorsement::Shown(Box::new(activated)),
        Ok(Err(problem)) => Endorsement::Failed(problem),
        Err(_) => Endorsement::Failed("the machine took too long".to_owned()),
    }
}

async fn ask(stream: Stream<Io>, key: &AttestationKey) -> Result<Activated, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let certificate = match request(&mut sender, Method::GET, "/v1/tpm/endorsement", Bytes::new()).await? {
        (StatusCode::OK, der) => EndorsementCertificate::from_der(&der).map_err(|error| error.to_string())?,
        (StatusCode::NOT_FOUND, _) => return Err("the machine's TPM has no certificate of an endorsement key".to_owned()),
        (status, _) => return Err(format!("asked for the certificate, the machine answers {status}")),
    };
    let bytes = || random::<32>().map_err(|error| error.to_string());
    let randomness = Randomness { secret: bytes()?, seed: bytes()?, padding: bytes()? };
    let (challenge, credential) = Challenge::new(key, certificate, randomness).map_err(|error| error.to_string())?;
    match request(&mut sender, Method::POST, "/v1/tpm/activate", credential.into()).await? {
        (StatusCode::OK, secret) => {
            challenge.judge(&secret).ok_or_else(|| "the machine's TPM doesn't know the secret".to_owned())
        }
        (StatusCode::BAD_REQUEST, _) => {
            Err("the certified key and the attestation key aren't in one TPM: it doesn't open what is \
                                             encrypted to both"
                .to_owned())
        }
        (status, _) => Err(format!("asked for the secret, the machine answers {status}")),
    }
}

async fn request(
    sender: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<(StatusCode, Bytes), String> {
    let request = Request::builder().method(method).uri(path).header(HOST, "sealstone");
    let request = request.header(CONTENT_TYPE, "application/octet-stream").body(Full::new(body));
    let request = request.map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| error.to_string())?;
    Ok((head.status, body.to_bytes()))
}
