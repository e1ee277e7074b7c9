//! The questions and answers as JSON text: what the WebAssembly module takes and gives. `web/sealstone-verify.d.ts` has the
//! same as types, and a test holds the two against each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::chain::{self, Profile};
use crate::documents::{Evidence, Pin, Policy, Release, Time};
use crate::error::{Document, Error};
use crate::verdict::{Binding, Verdict, verify, verify_release, verify_snp, verify_tdx};

/// What is asked. Documents that are text are text, those that are bytes are base64.
#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    Verify(VerifyRequest),
    VerifySnp(SnpRequest),
    VerifyTdx(TdxRequest),
    VerifyRelease(ReleaseRequest),
    Explain(ExplainRequest),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerifyRequest {
    pin: String,
    evidence: String,
    policy: Option<String>,
    nonce: Option<String>,
    at: u64,
    certificates: Option<String>,
    revocation_list: Option<String>,
    collateral: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnpRequest {
    report: String,
    endorsement: String,
    chain: Option<String>,
    revocation_list: Option<String>,
    policy: Option<String>,
    at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TdxRequest {
    quote: String,
    collateral: String,
    policy: Option<String>,
    at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRequest {
    files: BTreeMap<String, String>,
    notices: BTreeMap<String, String>,
    policy: Option<String>,
    at: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainRequest {
    pin: String,
}

/// What is answered: one of the three.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Verdict(sealstone_release::verdict::Verdict),
    Chain(Chain),
    Error(Problem),
}

#[derive(Serialize)]
struct Problem {
    document: &'static str,
    problem: String,
    exit_code: u8,
}

#[derive(Serialize)]
struct Chain {
    pin: String,
    image: Image,
    profiles: Vec<Machine>,
}

#[derive(Serialize)]
struct Image {
    name: String,
    version: String,
}

#[derive(Serialize)]
struct Machine {
    id: String,
    tee: &'static str,
    events: Vec<Event>,
}

#[derive(Serialize)]
struct Event {
    register: String,
    kind: String,
    op: String,
    digest: String,
    or: Vec<Alternative>,
    size: Option<u64>,
    input: String,
    how: String,
    controlled_by: &'static str,
}

#[derive(Serialize)]
struct Alternative {
    digest: String,
    when: String,
}

/// Answers a request. Whatever is asked, there is an answer, and it is JSON.
pub fn answer(request: &[u8]) -> String {
    let answer = parse(request).and_then(judge).unwrap_or_else(|e| Answer::Error(Problem::of(&e)));
    // Strings, numbers and lists with string keys: there is nothing that could fail.
    serde_json::to_string(&answer).unwrap_or_default()
}

fn parse(request: &[u8]) -> Result<Request, Error> {
    serde_json::from_slice(request).map_err(|e| Error::new(Document::Request, e))
}

fn judge(request: Request) -> Result<Answer, Error> {
    let verdict = match request {
        Request::Verify(request) => pinned(&request)?,
        Request::VerifySnp(request) => snp(&request)?,
        Request::VerifyTdx(request) => {
            let quote = base64(Document::Quote, &request.quote)?;
            let (policy, at) = (policy(request.policy.as_deref())?, Time::from_unix(request.at)?);
            verify_tdx(&quote, request.collateral.as_bytes(), &policy, at)?
        }
        Request::VerifyRelease(request) => {
            let release = Release { files: files(&request.files)?, notices: files(&request.notices)? };
            verify_release(&release, &policy(request.policy.as_deref())?, Time::from_unix(request.at)?)
        }
        Request::Explain(request) => return Ok(Answer::Chain(Chain::of(&Pin::parse(request.pin.as_bytes())?))),
    };
    Ok(Answer::Verdict(verdict.0))
}

fn pinned(request: &VerifyRequest) -> Result<Verdict, Error> {
    let pin = Pin::parse(request.pin.as_bytes())?;
    let mut evidence = Evidence::parse(request.evidence.as_bytes())?;
    if let Some(pem) = &request.certificates {
        evidence = evidence.with_certificates(pem.as_bytes())?;
    }
    if let Some(list) = &request.revocation_list {
        evidence = evidence.with_revocation_list(&base64(Document::RevocationList, list)?)?;
    }
    if let Some(collateral) = &request.collateral {
        evidence = evidence.with_collateral(collateral.as_bytes())?;
    }
    let binding = request.nonce.as_deref().map_or(Ok(Binding::Offline), nonce)?;
    Ok(verify(&pin, &evidence, &policy(request.policy.as_deref())?, &binding, Time::from_unix(request.at)?))
}

fn snp(request: &SnpRequest) -> Result<Verdict, Error> {
    let report = base64(Document::Report, &request.report)?;
    let endorsement = base64(Document::Certificates, &request.endorsement)?;
    let chain = request.chain.as_deref().unwrap_or_default();
    let list = request.revocation_list.as_deref().map(|list| base64(Document::RevocationList, list)).transpose()?;
    let (policy, at) = (policy(request.policy.as_deref())?, Time::from_unix(request.at)?);
    verify_snp(&report, &endorsement, chain.as_bytes(), list.as_deref(), &policy, at)
}

fn policy(text: Option<&str>) -> Result<Policy, Error> {
    text.map_or_else(|| Ok(Policy::default()), |text| Policy::parse(text.as_bytes()))
}

fn nonce(text: &str) -> Result<Binding, Error> {
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Binding::Nonce).ok_or_else(|| Error::new(Document::Nonce, "a nonce is 64 lower-case hex digits"))
}

fn files(files: &BTreeMap<String, String>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let decoded = files.iter().map(|(path, content)| Ok((path.clone(), base64(Document::Release, content)?)));
    decoded.collect()
}

fn base64(document: Document, text: &str) -> Result<Vec<u8>, Error> {
    data_encoding::BASE64.decode(text.as_bytes()).map_err(|e| Error::new(document, format!("not base64: {e}")))
}

impl Problem {
    fn of(error: &Error) -> Self {
        Self { document: error.document().word(), problem: error.problem().to_owned(), exit_code: error.exit_code() }
    }
}

impl Chain {
    fn of(pin: &Pin) -> Self {
        let (name, version) = pin.image();
        let image = Image { name: name.to_owned(), version: version.to_owned() };
        Self { pin: pin.id(), image, profiles: pin.profiles().map(Machine::of).collect() }
    }
}

impl Machine {
    fn of(profile: Profile<'_>) -> Self {
        Self { id: profile.id().to_owned(), tee: profile.tee(), events: profile.events().map(Event::of).collect() }
    }
}

impl Event {
    fn of(event: chain::Event) -> Self {
        let chain::Event { register, kind, op, digest, or, size, input, how, controlled_by } = event;
        let or = or.into_iter().map(|chain::Alternative { digest, when }| Alternative { digest, when }).collect();
        Self { register, kind, op, digest, or, size, input, how, controlled_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_request_is_answered_all_the_same() {
        let huge = format!("{{\"ask\":\"explain\",\"pin\":\"{}\"}}", "[".repeat(1 << 16));
        for (request, document) in [
            ("", "request"),
            ("{}", "request"),
            ("{\"ask\":\"explain\"}", "request"),
            ("{\"ask\":\"explain\",\"pin\":\"\",\"more\":1}", "request"),
            ("{\"ask\":\"explain\",\"pin\":\"{}\"}", "pin"),
            (huge.as_str(), "pin"),
            ("{\"ask\":\"verify_tdx\",\"quote\":\"?\",\"collateral\":\"\",\"at\":0}", "quote"),
            ("{\"ask\":\"verify_release\",\"files\":{},\"notices\":{},\"at\":253402300800}", "at"),
        ] {
            let answer: serde_json::Value = serde_json::from_str(&answer(request.as_bytes())).unwrap();
            assert_eq!(answer["error"]["document"], document, "{request:.60}: {answer}");
            assert_eq!(answer["error"]["exit_code"], 3);
        }
    }

    #[test]
    fn every_document_has_a_word_of_its_own() {
        let words: std::collections::BTreeSet<_> = Document::ALL.iter().map(|document| document.word()).collect();
        assert_eq!(words.len(), Document::ALL.len());
    }
}
