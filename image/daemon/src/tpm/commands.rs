//! How commands travel, and the three that a quote needs. Source: Part 3, sections 24.1 (CreatePrimary), 18.4 (Quote), 30.2
//! (GetCapability).

use super::structures::{self, Bank};
use super::wire::{BadField, Reader, Writer};
use super::{MAX_RESPONSE, TpmError, Transport};
use crate::event::errno;

pub(super) const ST_NO_SESSIONS: u16 = 0x8001;
pub(super) const ST_SESSIONS: u16 = 0x8002;
const RC_SUCCESS: u32 = 0;
/// Tag, size and code.
const HEADER_BYTES: usize = 10;

/// The null hierarchy: its seed is new at each reset of the TPM, so the key is this boot's and dies with it. No owner's or
/// endorsement password is needed, and two boots can't be linked by the key.
const RH_NULL: u32 = 0x4000_0007;
/// Authorisation by password, here the empty one, which a new key has.
pub(super) const RS_PW: u32 = 0x4000_0009;
/// TPM_HT_TRANSIENT, the top byte of a loaded object's handle.
pub(super) const TRANSIENT: u32 = 0x80;

const CAP_PCRS: u32 = 5;
/// Number of entries asked for; more banks than any TPM has.
const CAP_COUNT: u32 = 16;
/// TPM_ST_CREATION, the tag of a creation ticket.
const ST_CREATION: u16 = 0x8021;

#[derive(Clone, Copy)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) code: u32,
}

pub(super) const CREATE_PRIMARY: Command = Command { name: "TPM2_CreatePrimary", code: 0x131 };
const QUOTE: Command = Command { name: "TPM2_Quote", code: 0x158 };
const GET_CAPABILITY: Command = Command { name: "TPM2_GetCapability", code: 0x17a };

impl Command {
    pub(super) fn malformed(self, BadField(field): BadField) -> TpmError {
        TpmError::Malformed { command: self.name, field }
    }
}

/// A TPM at the other end of `T`.
#[derive(Debug)]
pub struct Tpm<T>(T);

/// The key that signs quotes. It is loaded as long as the transport is open.
#[derive(Clone, Debug)]
pub struct AttestationKey {
    pub(super) handle: u32,
    public: Vec<u8>,
}

impl AttestationKey {
    /// TPM2B_PUBLIC, size included.
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

/// A quote, in the form that the TPM gave. Its shape and its qualifying data have been checked, its signature hasn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST: exactly the bytes that are signed.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
}

impl<T: Transport> Tpm<T> {
    /// The TPM behind `transport`. Nothing is sent.
    pub fn new(transport: T) -> Tpm<T> {
        Tpm(transport)
    }

    /// The banks, SHA-256 and SHA-384, in which the TPM keeps all of PCRs 0 to 15; the first always is SHA-256.
    pub async fn banks(&mut self) -> Result<Vec<Bank>, TpmError> {
        let parameters = Writer::default().u32(CAP_PCRS).u32(0).u32(CAP_COUNT).finish();
        let response = self.transact(GET_CAPABILITY, ST_NO_SESSIONS, &parameters).await?;
        let banks = parse_banks(&response).map_err(|e| GET_CAPABILITY.malformed(e))?;
        if banks.first() == Some(&Bank::Sha256) { Ok(banks) } else { Err(TpmError::NoBank) }
    }

    /// Makes an attestation key of this boot: a restricted ECDSA P-256 signing key in the null hierarchy.
    pub async fn create_attestation_key(&mut self) -> Result<AttestationKey, TpmError> {
        let response = self.create_primary(RH_NULL, &structures::template()).await?;
        parse_key(&response).map_err(|e| CREATE_PRIMARY.malformed(e))
    }

    /// Quotes PCRs 0 to 15 of `banks` for `qualifying`.
    pub async fn quote(&mut self, key: &AttestationKey, banks: &[Bank], qualifying: &[u8; 32]) -> Result<Quote, TpmError> {
        let command = password(Writer::default().u32(key.handle)).sized(qualifying);
        // TPM_ALG_NULL: by the key's own scheme.
        let parameters = command.u16(0x0010).bytes(&structures::selection(banks)).finish();
        let response = self.transact(QUOTE, ST_SESSIONS, &parameters).await?;
        parse_quote(&response, qualifying, banks).map_err(|e| QUOTE.malformed(e))
    }

    /// Makes the primary key that `template`, a TPMT_PUBLIC, describes in `hierarchy`, whose password is empty.
    pub(super) async fn create_primary(&mut self, hierarchy: u32, template: &[u8]) -> Result<Vec<u8>, TpmError> {
        // TPM2B_SENSITIVE_CREATE: no password, no data.
        let sensitive = Writer::default().sized(&[]).sized(&[]).finish();
        let command = password(Writer::default().u32(hierarchy)).sized(&sensitive).sized(template);
        // No outside information, no PCRs in the creation data.
        let parameters = command.sized(&[]).u32(0).finish();
        self.transact(CREATE_PRIMARY, ST_SESSIONS, &parameters).await
    }

    /// Sends a command with its handles and parameters; what follows the header of a successful answer.
    pub(super) async fn transact(&mut self, command: Command, tag: u16, body: &[u8]) -> Result<Vec<u8>, TpmError> {
        let size = u32::try_from(body.len().saturating_add(HEADER_BYTES)).unwrap_or(u32::MAX);
        let bytes = Writer::default().u16(tag).u32(size).u32(command.code).bytes(body).finish();
        let response = self.0.transact(&bytes).await.map_err(|e| TpmError::Transport(errno(&e)))?;
        let (code, rest) = parse_header(&response, tag).map_err(|e| command.malformed(e))?;
        if code == RC_SUCCESS { Ok(rest.to_vec()) } else { Err(TpmError::Refused { command: command.name, code }) }
    }
}

/// The authorisation area (Part 1, section 18.4): one session, the empty password.
pub(super) fn password(handles: Writer) -> Writer {
    let session = Writer::default().u32(RS_PW).sized(&[]).u8(0).sized(&[]).finish();
    handles.u32(u32::try_from(session.len()).unwrap_or(u32::MAX)).bytes(&session)
}

/// The response code and what follows. A successful answer has the command's tag, an error is always without sessions.
fn parse_header(response: &[u8], tag: u16) -> Result<(u32, &[u8]), BadField> {
    if response.len() > MAX_RESPONSE {
        return Err(BadField("size"));
    }
    let mut reader = Reader::new(response);
    let found = reader.u16("tag")?;
    if usize::try_from(reader.u32("size")?) != Ok(response.len()) {
        return Err(BadField("size"));
    }
    let code = reader.u32("response code")?;
    if found != if code == RC_SUCCESS { tag } else { ST_NO_SESSIONS } {
        return Err(BadField("tag"));
    }
    if code != RC_SUCCESS {
        reader.end("error")?;
    }
    Ok((code, reader.rest()))
}

/// The parameters of an answer with sessions; behind them stands the password's empty acknowledgement.
pub(super) fn parameters<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, BadField> {
    let size = reader.u32("parameter size")?;
    let size = usize::try_from(size).map_err(|_| BadField("parameter size"))?;
    let parameters = reader.bytes(size, "parameters")?;
    reader.expect_sized(&[], "session")?;
    reader.u8("session")?;
    reader.expect_sized(&[], "session")?;
    reader.end("session")?;
    Ok(Reader::new(parameters))
}

fn parse_banks(response: &[u8]) -> Result<Vec<Bank>, BadField> {
    let mut reader = Reader::new(response);
    // Whether there is more: what came is everything that was asked for.
    if reader.u8("more data")? > 1 {
        return Err(BadField("more data"));
    }
    reader.expect_u32(CAP_PCRS, "capability")?;
    let banks = structures::banks(&mut reader)?;
    reader.end("banks")?;
    Ok(banks)
}

fn parse_key(response: &[u8]) -> Result<AttestationKey, BadField> {
    let mut reader = Reader::new(response);
    let handle = reader.u32("handle")?;
    if handle >> 24 != TRANSIENT {
        return Err(BadField("handle"));
    }
    let mut reader = parameters(&mut reader)?;
    let public = reader.sized("public area")?;
    structures::check_public(public)?;
    // Creation data, its hash, and a ticket for them: for whoever has the creation certified, which nobody does here.
    reader.sized("creation data")?;
    reader.sized("creation hash")?;
    reader.expect_u16(ST_CREATION, "creation ticket")?;
    reader.u32("creation ticket")?;
    reader.sized("creation ticket")?;
    reader.expect_sized(&structures::name(public), "name")?;
    reader.end("key")?;
    Ok(AttestationKey { handle, public: Writer::default().sized(public).finish() })
}

fn parse_quote(response: &[u8], qualifying: &[u8], banks: &[Bank]) -> Result<Quote, BadField> {
    let mut reader = parameters(&mut Reader::new(response))?;
    let attest = reader.sized("quote")?;
    structures::check_attest(attest, qualifying, banks)?;
    let signature = reader.rest();
    structures::check_signature(signature)?;
    Ok(Quote { attest: attest.to_vec(), signature: signature.to_vec() })
}
