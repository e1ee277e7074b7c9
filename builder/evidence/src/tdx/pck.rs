//! What a PCK certificate says of its platform (PCK certificate profile, section 1.3.5: OIDs under 1.2.840.113741.1.13.1).

use x509_cert::der::asn1::{ObjectIdentifier, OctetStringRef};
use x509_cert::der::{AnyRef, Decode, Reader, SliceReader};

use crate::x509::Certificate;

const SGX: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1");
const TCB: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.2");
const PCE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.3");
const FMSPC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1.4");

/// A platform's family and TCB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PckClaims {
    /// Family, model, stepping, platform, custom SKU.
    pub fmspc: [u8; 6],
    /// Identity of the provisioning certification enclave.
    pub pce_id: [u8; 2],
    /// Security version numbers of the 16 components.
    pub components: [u8; 16],
    /// Security version number of the provisioning certification enclave.
    pub pce_svn: u16,
}

/// The certificate isn't a PCK's, or its SGX extension is malformed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the PCK certificate's SGX extension lacks {0}, or it is malformed")]
pub struct PckError(pub &'static str);

type Entry<'a> = (ObjectIdentifier, AnyRef<'a>);

impl PckClaims {
    /// Reads the SGX extension.
    ///
    /// # Errors
    /// If the extension or one of its entries is missing, stands there twice, or is malformed.
    pub fn from_certificate(certificate: &Certificate) -> Result<Self, PckError> {
        let der = certificate.extension(SGX).ok_or(PckError("everything"))?;
        let list = SliceReader::new(der).and_then(|mut reader| {
            let list = reader.sequence(entries)?;
            reader.finish(list)
        });
        let list = list.map_err(|_| PckError("a readable list"))?;
        let tcb = find(&list, TCB).ok_or(PckError("the TCB"))?;
        let tcb = tcb.sequence(entries).map_err(|_| PckError("a readable TCB"))?;
        let mut components = [0; 16];
        for (number, component) in (1..).zip(components.iter_mut()) {
            *component = level(&tcb, number).ok_or(PckError("a TCB component"))?;
        }
        Ok(Self {
            fmspc: octets(&list, FMSPC).ok_or(PckError("the FMSPC"))?,
            pce_id: octets(&list, PCE_ID).ok_or(PckError("the PCE id"))?,
            components,
            pce_svn: level(&tcb, 17).ok_or(PckError("the PCE svn"))?,
        })
    }
}

/// Pairs of identifier and value, up to the end of the sequence.
fn entries<'a, R: Reader<'a>>(list: &mut R) -> x509_cert::der::Result<Vec<Entry<'a>>> {
    let mut found = Vec::new();
    while !list.is_finished() {
        found.push(list.sequence(|entry| Ok((ObjectIdentifier::decode(entry)?, AnyRef::decode(entry)?)))?);
    }
    Ok(found)
}

/// The value under an identifier that stands there exactly once.
fn find<'a>(list: &[Entry<'a>], oid: ObjectIdentifier) -> Option<AnyRef<'a>> {
    let mut values = list.iter().filter(|(key, _)| *key == oid).map(|(_, value)| *value);
    let first = values.next();
    if values.next().is_some() { None } else { first }
}

fn octets<const N: usize>(list: &[Entry<'_>], oid: ObjectIdentifier) -> Option<[u8; N]> {
    find(list, oid)?.decode_as::<OctetStringRef<'_>>().ok()?.as_bytes().try_into().ok()
}

/// A security version number in the TCB: component 1 to 16, or 17 for the PCE's.
fn level<'a, N: x509_cert::der::DecodeValue<'a> + x509_cert::der::FixedTag>(tcb: &[Entry<'a>], number: u32) -> Option<N> {
    find(tcb, TCB.push_arc(number).ok()?)?.decode_as::<N>().ok()
}
