//! What a TPM's maker does before it is sold: it certifies the endorsement key, under an authority of the tests, and puts the
//! certificate into the TPM.

use p256::ecdsa::SigningKey;
use p256::pkcs8::EncodePublicKey as _;
use sealstone_evidence::testing::tpm::{EndorsementKey, endorsement};
use sealstone_evidence::testing::x509::{Issuer, Made, authority};
use sealstone_evidence::x509::{Certificate, PublicKey};

use super::swtpm::{Socket, flush, overwrite_nv, public_area, write_nv};

/// First and last second.
pub type Validity = (u64, u64);

pub fn key(holder: u8) -> SigningKey {
    SigningKey::from_slice(&[holder; 32]).unwrap()
}

/// PEM of the authority whose key is `holder`'s.
pub fn root(holder: u8, validity: Validity) -> String {
    let made = endorsement(EndorsementKey::P256(&key(holder)), "Root");
    let made = Made { subject: "Root".into(), validity, extensions: vec![authority()], ..made };
    Certificate::from_der("root", &made.der(Issuer::P256(&key(holder)))).unwrap().to_pem()
}

/// Certifies the key that this TPM makes from the standard template whose certificate stands at `index`, by `holder`'s authority.
pub async fn certify(socket: &mut Socket, index: u32, holder: u8, validity: Validity) {
    // Room for the certificate, as some makers leave it; its key is known only behind what looks like one.
    let room = |bytes: &[u8]| [bytes, &vec![0xff; 1500 - bytes.len()]].concat();
    write_nv(socket, index, &room(&[0x30, 0x82, 0, 0])).await;
    let mut tpm = sealstone_daemon::tpm::Tpm::new(&mut *socket);
    let found = tpm.endorsement_certificate().await.unwrap().unwrap();
    tpm.create_endorsement_key(&found).await.unwrap();
    let public = public_area(socket, 0x8000_0000).await;
    flush(socket, 0x8000_0000).await;
    let made = endorsement(EndorsementKey::P256(&key(holder)), "Root");
    let made = Made { spki: spki(&public), validity, ..made };
    overwrite_nv(socket, index, &room(&made.der(Issuer::P256(&key(holder))))).await;
}

/// SubjectPublicKeyInfo of an endorsement key's TPM2B_PUBLIC: a modulus of 256 bytes, or two coordinates, stand at its end.
fn spki(public: &[u8]) -> Vec<u8> {
    if public[2..4] == [0, 1] {
        let PublicKey::Rsa(key) = PublicKey::rsa(&public[public.len() - 256..]).unwrap() else { unreachable!() };
        return key.to_public_key_der().unwrap().as_bytes().to_vec();
    }
    let (x, y) = (&public[public.len() - 66..][..32], &public[public.len() - 32..]);
    let key = p256::PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).unwrap();
    key.to_public_key_der().unwrap().as_bytes().to_vec()
}
