//! The endorsement key: its certificate, and the exchange by which the TPM shows that the attestation key is its own.
//!
//! A client encrypts a secret to the certified key and to the attestation key's name (TPM2_MakeCredential, in software). Only the TPM that
//! has both opens it. Source: Part 1, section 24 (credential protection); Part 3, sections 12.5 (ActivateCredential), 11.1
//! (StartAuthSession), 23.4 (PolicySecret), 28.4 (FlushContext), 31.6 (NV_ReadPublic), 31.13 (NV_Read).

use super::commands::{AttestationKey, Command, RS_PW, ST_NO_SESSIONS, ST_SESSIONS, TRANSIENT, Tpm, parameters, password};
use super::structures::EkTemplate;
use super::wire::{BadField, Reader, Writer};
use super::{TpmError, Transport};

/// The endorsement hierarchy, whose password is empty unless an owner has set one, and then there is no exchange.
const RH_ENDORSEMENT: u32 = 0x4000_000b;
/// No key, no object.
const RH_NULL: u32 = 0x4000_0007;
/// TPM_SE_POLICY.
const SE_POLICY: u8 = 1;
/// TPM_HT_POLICY_SESSION, the top byte of such a session's handle.
const POLICY_SESSION: u32 = 0x03;
/// TPM_ALG_NULL, TPM_ALG_SHA256.
const ALG_NULL: u16 = 0x0010;
const ALG_SHA256: u16 = 0x000b;
/// TPM_ST_AUTH_SECRET, the tag of a ticket of TPM2_PolicySecret.
const ST_AUTH_SECRET: u16 = 0x8023;

/// The bit of TPM_RC that is set where a parameter, handle or session is to blame (Part 2, section 6.6.3).
const RC_FMT1: u32 = 0x80;

/// The longest certificate that is taken. They have one to two kilobytes.
const MAX_CERTIFICATE: u16 = 4096;
/// Read from NV at a time: what every TPM can (TPM_PT_NV_BUFFER_MAX is 512 at the least; PC Client Platform TPM Profile).
const NV_CHUNK: u16 = 512;

/// The longest TPM2B_ID_OBJECT: a MAC and an encrypted TPM2B, both of the longest digest.
const MAX_ID_OBJECT: usize = 2 + 64 + 2 + 64;
/// The longest TPM2B_ENCRYPTED_SECRET for the endorsement keys of this module.
const MAX_ENCRYPTED_SECRET: usize = 256;
/// The longest secret: the longest digest.
const MAX_SECRET: usize = 64;

const NV_READ_PUBLIC: Command = Command { name: "TPM2_NV_ReadPublic", code: 0x169 };
const NV_READ: Command = Command { name: "TPM2_NV_Read", code: 0x14e };
const START_AUTH_SESSION: Command = Command { name: "TPM2_StartAuthSession", code: 0x176 };
const POLICY_SECRET: Command = Command { name: "TPM2_PolicySecret", code: 0x151 };
const ACTIVATE_CREDENTIAL: Command = Command { name: "TPM2_ActivateCredential", code: 0x147 };
const FLUSH_CONTEXT: Command = Command { name: "TPM2_FlushContext", code: 0x165 };

/// The certificate that the TPM's maker, or its cloud, left in the TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndorsementCertificate {
    template: EkTemplate,
    der: Vec<u8>,
}

impl EndorsementCertificate {
    /// The certificate, as long as its DER says. Nothing else in it was looked at.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// The endorsement key, loaded as long as the transport is open.
#[derive(Clone, Copy, Debug)]
pub struct EndorsementKey(u32);

/// What a client made for this TPM: TPM2B_ID_OBJECT and TPM2B_ENCRYPTED_SECRET, with their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential(Vec<u8>);

impl Credential {
    /// Bytes of the longest one.
    pub const MAX: usize = 2 + MAX_ID_OBJECT + 2 + MAX_ENCRYPTED_SECRET;

    /// Reads both, one after the other. What is in them is the TPM's to judge.
    pub fn parse(bytes: &[u8]) -> Option<Credential> {
        let mut reader = Reader::new(bytes);
        let fits = |field: &[u8], most| (1..=most).contains(&field.len());
        let id_object = reader.sized("credential").ok()?;
        let secret = reader.sized("secret").ok()?;
        reader.end("credential").ok()?;
        (fits(id_object, MAX_ID_OBJECT) && fits(secret, MAX_ENCRYPTED_SECRET)).then(|| Credential(bytes.to_vec()))
    }
}

impl<T: Transport> Tpm<T> {
    /// The endorsement key's certificate, if the TPM has one of a standard key: that on P-256 before the RSA key's, because making the
    /// key anew takes a TPM milliseconds and not seconds.
    pub async fn endorsement_certificate(&mut self) -> Result<Option<EndorsementCertificate>, TpmError> {
        for template in [EkTemplate::P256, EkTemplate::Rsa2048] {
            if let Some(der) = self.certificate_at(template.certificate_index()).await? {
                return Ok(Some(EndorsementCertificate { template, der }));
            }
        }
        Ok(None)
    }

    /// `None` where there is no such index.
    async fn certificate_at(&mut self, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let handle = Writer::default().u32(index).finish();
        let response = match self.transact(NV_READ_PUBLIC, ST_NO_SESSIONS, &handle).await {
            Err(TpmError::Refused { .. }) => return Ok(None),
            response => response?,
        };
        let size = parse_size(&response, index).map_err(|e| NV_READ_PUBLIC.malformed(e))?;
        let mut bytes = Vec::new();
        for offset in (0..size).step_by(NV_CHUNK.into()) {
            let count = size.saturating_sub(offset).min(NV_CHUNK);
            bytes.extend(self.nv_read(index, offset, count).await?);
        }
        Ok(Some(der(bytes).map_err(|e| NV_READ.malformed(e))?))
    }

    /// By the index's own password, which is empty (EK Credential Profile, 2.2.1.5: TPMA_NV_AUTHREAD).
    async fn nv_read(&mut self, index: u32, offset: u16, count: u16) -> Result<Vec<u8>, TpmError> {
        let command = password(Writer::default().u32(index).u32(index)).u16(count).u16(offset).finish();
        let response = self.transact(NV_READ, ST_SESSIONS, &command).await?;
        parse_only(&response, usize::from(count)..=usize::from(count), "data").map_err(|e| NV_READ.malformed(e))
    }

    /// Makes the certified key, which is the same each time: the endorsement hierarchy's seed stays. Whether it *is* the
    /// certified one shows when it opens what was encrypted to that.
    pub async fn create_endorsement_key(&mut self, of: &EndorsementCertificate) -> Result<EndorsementKey, TpmError> {
        let response = self.create_primary(RH_ENDORSEMENT, &of.template.public()).await?;
        let handle = parse_handle(&response, TRANSIENT).map_err(|e| super::commands::CREATE_PRIMARY.malformed(e))?;
        Ok(EndorsementKey(handle))
    }

    /// The secret in `credential`, if that was made for these two keys; `None` if the TPM says that it wasn't.
    pub async fn activate(
        &mut self,
        attestation: &AttestationKey,
        endorsement: EndorsementKey,
        credential: &Credential,
    ) -> Result<Option<Vec<u8>>, TpmError> {
        let session = self.endorsement_session().await?;
        let handles = Writer::default().u32(attestation.handle).u32(endorsement.0);
        let command = two_sessions(handles, session).bytes(&credential.0).finish();
        let outcome = self.transact(ACTIVATE_CREDENTIAL, ST_SESSIONS, &command).await;
        if outcome.is_err() {
            // A session ends with the command that it authorised; with one that failed it doesn't, and there are few.
            let _ = self.flush(session).await;
        }
        match outcome {
            Err(TpmError::Refused { code, .. }) if code & RC_FMT1 != 0 => Ok(None),
            outcome => parse_secret(&outcome?).map(Some).map_err(|e| ACTIVATE_CREDENTIAL.malformed(e)),
        }
    }

    /// A session that satisfies the endorsement key's policy.
    async fn endorsement_session(&mut self) -> Result<u32, TpmError> {
        // Neither salted nor bound, so it has no key, and its nonces protect nothing.
        let command = Writer::default().u32(RH_NULL).u32(RH_NULL).sized(&[0; 16]).sized(&[]).u8(SE_POLICY);
        let command = command.u16(ALG_NULL).u16(ALG_SHA256).finish();
        let response = self.transact(START_AUTH_SESSION, ST_NO_SESSIONS, &command).await?;
        let session = parse_session(&response).map_err(|e| START_AUTH_SESSION.malformed(e))?;
        let satisfied = self.policy_secret(session).await;
        if satisfied.is_err() {
            let _ = self.flush(session).await;
        }
        satisfied.map(|()| session)
    }

    async fn policy_secret(&mut self, session: u32) -> Result<(), TpmError> {
        let command = password(Writer::default().u32(RH_ENDORSEMENT).u32(session));
        // No nonce, no command, no reference, no expiration.
        let command = command.sized(&[]).sized(&[]).sized(&[]).u32(0).finish();
        let response = self.transact(POLICY_SECRET, ST_SESSIONS, &command).await?;
        parse_ticket(&response).map_err(|e| POLICY_SECRET.malformed(e))
    }

    async fn flush(&mut self, handle: u32) -> Result<(), TpmError> {
        let handle = Writer::default().u32(handle).finish();
        self.transact(FLUSH_CONTEXT, ST_NO_SESSIONS, &handle).await.map(drop)
    }
}

/// The authorisation area for two handles: the empty password, and a policy session that ends with the command.
fn two_sessions(handles: Writer, session: u32) -> Writer {
    let area = Writer::default().u32(RS_PW).sized(&[]).u8(0).sized(&[]);
    let area = area.u32(session).sized(&[]).u8(0).sized(&[]).finish();
    handles.u32(u32::try_from(area.len()).unwrap_or(u32::MAX)).bytes(&area)
}

/// The size of the data at `index`, from TPM2B_NV_PUBLIC and the name.
fn parse_size(response: &[u8], index: u32) -> Result<u16, BadField> {
    let mut reader = Reader::new(response);
    let mut public = Reader::new(reader.sized("public area")?);
    reader.sized("name")?;
    reader.end("public area")?;
    public.expect_u32(index, "index")?;
    public.u16("name algorithm")?;
    public.u32("attributes")?;
    public.sized("policy")?;
    let size = public.u16("size")?;
    public.end("public area")?;
    if size <= MAX_CERTIFICATE { Ok(size) } else { Err(BadField("size")) }
}

/// The certificate at the beginning of `bytes`: an index may be longer than what is in it. Certificates have from 256 to 65,535
/// bytes after a head of four (X.690, 8.1.3).
fn der(mut bytes: Vec<u8>) -> Result<Vec<u8>, BadField> {
    let mut reader = Reader::new(&bytes);
    reader.expect_u16(0x3082, "certificate")?;
    let length = usize::from(reader.u16("certificate")?).saturating_add(4);
    if length > bytes.len() {
        return Err(BadField("certificate"));
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// An answer whose only parameter is a TPM2B of a size in `sizes`.
fn parse_only(response: &[u8], sizes: std::ops::RangeInclusive<usize>, field: &'static str) -> Result<Vec<u8>, BadField> {
    let mut reader = parameters(&mut Reader::new(response))?;
    let bytes = reader.sized(field)?;
    reader.end(field)?;
    if sizes.contains(&bytes.len()) { Ok(bytes.to_vec()) } else { Err(BadField(field)) }
}

/// The handle at the beginning, whose kind is in its top byte; what follows isn't looked at.
fn parse_handle(response: &[u8], kind: u32) -> Result<u32, BadField> {
    let handle = Reader::new(response).u32("handle")?;
    if handle >> 24 == kind { Ok(handle) } else { Err(BadField("handle")) }
}

fn parse_session(response: &[u8]) -> Result<u32, BadField> {
    let mut reader = Reader::new(response);
    let handle = parse_handle(response, POLICY_SESSION)?;
    reader.u32("handle")?;
    reader.sized("nonce")?;
    reader.end("nonce")?;
    Ok(handle)
}

/// TPM2_PolicySecret without an expiration: no timeout, and a ticket of nothing.
fn parse_ticket(response: &[u8]) -> Result<(), BadField> {
    let mut reader = parameters(&mut Reader::new(response))?;
    reader.sized("timeout")?;
    reader.expect_u16(ST_AUTH_SECRET, "ticket")?;
    reader.u32("ticket")?;
    reader.sized("ticket")?;
    reader.end("ticket")
}

/// The secret, and behind it what the two sessions acknowledge: that of the policy has a nonce.
fn parse_secret(response: &[u8]) -> Result<Vec<u8>, BadField> {
    let mut reader = Reader::new(response);
    let size = usize::try_from(reader.u32("parameter size")?).map_err(|_| BadField("parameter size"))?;
    let mut parameters = Reader::new(reader.bytes(size, "parameters")?);
    for _ in 0..2 {
        reader.sized("session")?;
        reader.u8("session")?;
        reader.expect_sized(&[], "session")?;
    }
    reader.end("session")?;
    let secret = parameters.sized("secret")?;
    parameters.end("secret")?;
    if (1..=MAX_SECRET).contains(&secret.len()) { Ok(secret.to_vec()) } else { Err(BadField("secret")) }
}
