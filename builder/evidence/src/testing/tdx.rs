//! A TDX quote with its collateral, under a root that exists only here. Every part is a field, and [`MadeTdx::quote`] and
//! [`MadeTdx::collateral`] sign whatever the fields say.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};

use super::x509::{AT, Issuer, Made, MadeList, YEAR, authority};
use crate::bytes::{hex, unhex};
use crate::tdx::verify::verify_under;
use crate::tdx::{Authenticity, Collateral, Quote};
use crate::time;
use crate::x509::PublicKey;

const ROOT: &str = "Test SGX Root CA";
const PLATFORM: &str = "Test SGX PCK Platform CA";
const SGX: &str = "1.2.840.113741.1.13.1";
const QE_VENDOR: [u8; 16] = unhex(b"939a7233f79c4ca9940a0db3957f0607");
const QE_SIGNER: [u8; 32] = [0xdc; 32];
const FMSPC: [u8; 6] = [0xb0, 0xc0, 0x6f, 0, 0, 0];

/// Keys, by who holds them.
fn key(holder: u8) -> SigningKey {
    SigningKey::from_slice(&[holder; 32]).unwrap()
}

/// Holders of keys.
pub const ROOT_KEY: u8 = 3;
/// Issues PCK certificates.
pub const PLATFORM_KEY: u8 = 4;
/// The platform's.
pub const PCK_KEY: u8 = 5;
/// Signs TCB info and QE identity.
pub const COLLATERAL_KEY: u8 = 6;
/// Signs the quote.
pub const QUOTE_KEY: u8 = 7;
/// Nobody's.
pub const OTHER_KEY: u8 = 8;

/// Everything about a quote and its collateral that a test may want to be wrong.
#[derive(Clone)]
pub struct MadeTdx {
    /// 4 or 5; 5 has the body of TDX 1.5.
    pub version: u16,
    /// The header's other 46 bytes.
    pub header: Vec<u8>,
    /// 584 bytes, and 64 more in version 5.
    pub body: Vec<u8>,
    /// The quoting enclave's report, but for the binding of the key.
    pub qe_report: Vec<u8>,
    /// Authentication data of the quoting enclave.
    pub qe_authentication: Vec<u8>,
    /// Overrides the binding of the attestation key in the enclave's report.
    pub qe_report_data: Option<[u8; 64]>,
    /// Certificates.
    pub pck: Made,
    /// Of the PCK's issuer.
    pub platform: Made,
    /// Of the root.
    pub root: Made,
    /// Of whoever signs TCB info and QE identity.
    pub signer: Made,
    /// Revocation list of the root.
    pub root_crl: MadeList,
    /// Revocation list of the PCK's issuer.
    pub pck_crl: MadeList,
    /// TCB info.
    pub tcb_info: Value,
    /// QE identity.
    pub qe_identity: Value,
    /// Whose key signs, in this order: root, platform, PCK, PCK's report of the enclave, quote, collateral's signer, TCB
    /// info, QE identity, the root's list, the PCK issuer's list.
    pub keys: [u8; 10],
}

/// [`crate::tdx::verify`] under the root of [`MadeTdx`].
pub fn verify(quote: &Quote, collateral: &Collateral, at: u64) -> Authenticity {
    verify_under(&PublicKey::P256(*key(ROOT_KEY).verifying_key()), quote, collateral, at)
}

fn spki(holder: u8) -> Vec<u8> {
    p256::PublicKey::from(key(holder).verifying_key()).to_public_key_der().unwrap().as_bytes().to_vec()
}

/// A DER element.
fn element(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..=127 => vec![u8::try_from(short).unwrap()],
        long => [&[0x82][..], &u16::try_from(long).unwrap().to_be_bytes()].concat(),
    };
    [vec![tag], length, content].concat()
}

fn entry(oid: &str, value: Vec<u8>) -> Vec<u8> {
    element(0x30, &[ObjectIdentifier::new(oid).unwrap().to_der().unwrap(), value])
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    OctetString::new(bytes).unwrap().to_der().unwrap()
}

/// The SGX extension of a PCK certificate.
pub fn sgx_extension(fmspc: &[u8], pce_id: &[u8], components: [u8; 16], pce_svn: u16) -> Vec<u8> {
    let component = |(number, svn): (usize, &u8)| entry(&format!("{SGX}.2.{}", number + 1), svn.to_der().unwrap());
    let mut tcb: Vec<Vec<u8>> = components.iter().enumerate().map(component).collect();
    tcb.push(entry(&format!("{SGX}.2.17"), pce_svn.to_der().unwrap()));
    let list = [
        entry(&format!("{SGX}.2"), element(0x30, &tcb)),
        entry(&format!("{SGX}.3"), octets(pce_id)),
        entry(&format!("{SGX}.4"), octets(fmspc)),
    ];
    element(0x30, &list)
}

/// Identifier of the SGX extension.
pub const SGX_EXTENSION: &str = SGX;

/// A TCB level at which every component has `svn`, but for the one that is the module's major version: 0.
pub fn level(svn: u8, status: &str) -> Value {
    let components = vec![json!({"svn": svn}); 16];
    let mut tdx = components.clone();
    tdx[1] = json!({"svn": 0});
    json!({
        "tcb": {"sgxtcbcomponents": components, "pcesvn": 11, "tdxtcbcomponents": tdx},
        "tcbDate": "2023-08-09T00:00:00Z", "tcbStatus": status
    })
}

impl MadeTdx {
    /// A quote that is accepted: SEPT_VE_DISABLE, no debugging, all components at level 3, which is up to date.
    pub fn new(version: u16) -> Self {
        let validity = (AT - YEAR, AT + YEAR);
        let made = |subject: &str, issuer: &str, serial, holder, extensions| Made {
            subject: subject.into(),
            issuer: issuer.into(),
            serial,
            validity,
            spki: spki(holder),
            extensions,
        };
        let mut body = vec![0; if version == 4 { 584 } else { 648 }];
        // A module of major version 0, whose bytes are components like all others.
        body[..16].copy_from_slice(&[3, 0, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3]);
        body[120..128].copy_from_slice(&(1_u64 << 28).to_le_bytes());
        body[128..136].copy_from_slice(&0xe7_u64.to_le_bytes());
        if version == 5 {
            let now: Vec<u8> = body[..16].to_vec();
            body[584..600].copy_from_slice(&now);
        }
        let mut qe_report = vec![0; 384];
        qe_report[48] = 0x11;
        qe_report[128..160].copy_from_slice(&QE_SIGNER);
        qe_report[256..258].copy_from_slice(&2_u16.to_le_bytes());
        qe_report[258..260].copy_from_slice(&4_u16.to_le_bytes());
        let (issued, next) = (time::show(AT - YEAR), time::show(AT + YEAR));
        Self {
            version,
            header: [&[2, 0, 0x81, 0, 0, 0, 0, 0, 0, 0][..], &QE_VENDOR, &[0; 20]].concat(),
            body,
            qe_report,
            qe_authentication: (0..32).collect(),
            qe_report_data: None,
            pck: made(
                "Test SGX PCK Certificate",
                PLATFORM,
                5,
                PCK_KEY,
                vec![(SGX, false, sgx_extension(&FMSPC, &[0, 0], [3; 16], 11))],
            ),
            platform: made(PLATFORM, ROOT, 4, PLATFORM_KEY, vec![authority()]),
            root: made(ROOT, ROOT, 3, ROOT_KEY, vec![authority()]),
            signer: made("Test SGX TCB Signing", ROOT, 6, COLLATERAL_KEY, Vec::new()),
            root_crl: MadeList { issuer: ROOT.into(), validity, revoked: Vec::new() },
            pck_crl: MadeList { issuer: PLATFORM.into(), validity, revoked: Vec::new() },
            tcb_info: json!({
                "id": "TDX", "version": 3, "issueDate": issued, "nextUpdate": next, "fmspc": hex(&FMSPC), "pceId": "0000",
                "tcbType": 0, "tcbEvaluationDataNumber": 17,
                "tdxModule": {"mrsigner": "00".repeat(48), "attributes": "00".repeat(8), "attributesMask": "FF".repeat(8)},
                "tcbLevels": [level(3, "UpToDate"), level(2, "OutOfDate"), level(1, "Revoked")]
            }),
            qe_identity: json!({
                "id": "TD_QE", "version": 2, "issueDate": issued, "nextUpdate": next, "tcbEvaluationDataNumber": 17,
                "miscselect": "00000000", "miscselectMask": "FFFFFFFF", "attributes": format!("11{}", "00".repeat(15)),
                "attributesMask": format!("FB{}{}", "FF".repeat(7), "00".repeat(8)), "mrsigner": hex(&QE_SIGNER),
                "isvprodid": 2,
                "tcbLevels": [{"tcb": {"isvsvn": 4}, "tcbDate": "2023-08-09T00:00:00Z", "tcbStatus": "UpToDate"},
                              {"tcb": {"isvsvn": 2}, "tcbDate": "2022-08-09T00:00:00Z", "tcbStatus": "OutOfDate"}]
            }),
            keys: [
                ROOT_KEY,
                ROOT_KEY,
                PLATFORM_KEY,
                PCK_KEY,
                QUOTE_KEY,
                ROOT_KEY,
                COLLATERAL_KEY,
                COLLATERAL_KEY,
                ROOT_KEY,
                PLATFORM_KEY,
            ],
        }
    }

    /// The raw quote.
    pub fn quote(&self) -> Vec<u8> {
        let frame = match self.version {
            4 => Vec::new(),
            _ => [&3_u16.to_le_bytes()[..], &u32::try_from(self.body.len()).unwrap().to_le_bytes()].concat(),
        };
        let signed = [&self.version.to_le_bytes()[..], &self.header, &frame, &self.body].concat();
        let point = key(QUOTE_KEY).verifying_key().to_encoded_point(false);
        let attestation_key = &point.as_bytes()[1..];
        let digest = Sha256::new().chain_update(attestation_key).chain_update(&self.qe_authentication).finalize();
        let mut report = self.qe_report.clone();
        report[320..352].copy_from_slice(&digest);
        if let Some(data) = self.qe_report_data {
            report[320..384].copy_from_slice(&data);
        }
        let pem = pem(&[self.pck_der(), self.platform_der(), self.root_der()]);
        let certification = [
            report.clone(),
            raw(self.keys[3], &report),
            u16::try_from(self.qe_authentication.len()).unwrap().to_le_bytes().to_vec(),
            self.qe_authentication.clone(),
            sized(5, pem.as_bytes()),
        ]
        .concat();
        let data = [raw(self.keys[4], &signed), attestation_key.to_vec(), sized(6, &certification)].concat();
        [signed, u32::try_from(data.len()).unwrap().to_le_bytes().to_vec(), data].concat()
    }

    /// The collateral's JSON.
    pub fn collateral(&self) -> Value {
        let issuers = |der| pem(&[der, self.root_der()]);
        let signer = self.signer.der(Issuer::P256(&key(self.keys[5])));
        let list = |list: &MadeList, holder| hex(&list.der(Issuer::P256(&key(holder))));
        let (tcb_info, qe_identity) = (self.tcb_info.to_string(), self.qe_identity.to_string());
        json!({
            "pck_crl_issuer_chain": issuers(self.platform_der()),
            "root_ca_crl": list(&self.root_crl, self.keys[8]),
            "pck_crl": list(&self.pck_crl, self.keys[9]),
            "tcb_info_issuer_chain": issuers(signer.clone()),
            "tcb_info_signature": hex(&raw(self.keys[6], tcb_info.as_bytes())),
            "tcb_info": tcb_info,
            "qe_identity_issuer_chain": issuers(signer),
            "qe_identity_signature": hex(&raw(self.keys[7], qe_identity.as_bytes())),
            "qe_identity": qe_identity,
        })
    }

    fn root_der(&self) -> Vec<u8> {
        self.root.der(Issuer::P256(&key(self.keys[0])))
    }

    fn platform_der(&self) -> Vec<u8> {
        self.platform.der(Issuer::P256(&key(self.keys[1])))
    }

    fn pck_der(&self) -> Vec<u8> {
        self.pck.der(Issuer::P256(&key(self.keys[2])))
    }
}

fn raw(holder: u8, message: &[u8]) -> Vec<u8> {
    let signature: Signature = key(holder).sign(message);
    signature.to_bytes().to_vec()
}

fn sized(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &u32::try_from(data.len()).unwrap().to_le_bytes(), data].concat()
}

fn pem(list: &[Vec<u8>]) -> String {
    list.iter().map(|der| x509_cert::der::pem::encode_string("CERTIFICATE", Default::default(), der).unwrap()).collect()
}
