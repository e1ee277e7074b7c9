//! SEV-SNP reports and chains, under roots that exist only here.

use std::sync::OnceLock;

use p384::ecdsa::signature::Signer as _;
use rsa::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::Ia5StringRef;

use super::x509::{self, AT, Made, Numbers, YEAR};
use crate::snp::roots::{Anchor, Root};
use crate::snp::verify::verify_under;
use crate::snp::{Authenticity, Product, Report};
use crate::x509::{Certificate, RevocationList};

/// Root and intermediate keys: slow to make, so made once.
pub fn keys() -> &'static [rsa::RsaPrivateKey; 2] {
    static KEYS: OnceLock<[rsa::RsaPrivateKey; 2]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut random = Numbers::new(1);
        [(); 2].map(|()| rsa::RsaPrivateKey::new(&mut random, 2048).unwrap())
    })
}

/// The key that [`vcek`] and [`vlek`] certify.
pub fn chip_key() -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_slice(&[9; 48]).unwrap()
}

/// What [`verify`] trusts for one product.
pub struct Roots(pub(crate) Vec<Root>);

/// The roots of [`chain`], and no others.
pub fn roots(product: Product) -> Roots {
    let anchor = |name: String, key: &rsa::RsaPrivateKey| Anchor {
        name,
        modulus: key.n().to_bytes_be(),
        validity: (AT - YEAR, AT + YEAR),
    };
    Roots(vec![Root {
        product,
        ark: anchor(format!("ARK-{product}"), &keys()[0]),
        ask: anchor(format!("SEV-{product}"), &keys()[1]),
    }])
}

/// [`crate::snp::verify`] under roots of the test's choosing.
pub fn verify(
    roots: &Roots,
    report: &Report,
    endorsement: &Certificate,
    chain: &[Certificate],
    revocation: Option<&RevocationList>,
    at: u64,
) -> Authenticity {
    verify_under(&roots.0, report, endorsement, chain, revocation, at)
}

/// DER of a public key.
pub fn rsa_spki(key: &rsa::RsaPrivateKey) -> Vec<u8> {
    key.to_public_key().to_public_key_der().unwrap().as_bytes().to_vec()
}

/// A certificate of an authority.
pub fn authority(subject: &str, issuer: &str, key: &rsa::RsaPrivateKey) -> Made {
    Made {
        subject: subject.into(),
        issuer: issuer.into(),
        serial: 2,
        validity: (AT - YEAR, AT + YEAR),
        spki: rsa_spki(key),
        extensions: vec![x509::authority()],
    }
}

/// Identifier of the extension that names the chip.
pub const HARDWARE_ID: &str = "1.3.6.1.4.1.3704.1.4";
/// The provider.
pub const PROVIDER_ID: &str = "1.3.6.1.4.1.3704.1.5";
/// The product.
pub const PRODUCT_NAME: &str = "1.3.6.1.4.1.3704.1.2";

/// An IA5String.
pub fn text(value: &str) -> Vec<u8> {
    Ia5StringRef::new(value).unwrap().to_der().unwrap()
}

/// Levels of bootloader 1, tee 2, snp 3, microcode 200, and on Turin fmc 4.
pub fn vcek(product: Product) -> Made {
    let spki = p384::PublicKey::from(chip_key().verifying_key()).to_public_key_der().unwrap();
    let mut levels = vec![
        ("1.3.6.1.4.1.3704.1.3.1", 1_u8),
        ("1.3.6.1.4.1.3704.1.3.2", 2),
        ("1.3.6.1.4.1.3704.1.3.3", 3),
        ("1.3.6.1.4.1.3704.1.3.4", 0),
        ("1.3.6.1.4.1.3704.1.3.5", 0),
        ("1.3.6.1.4.1.3704.1.3.6", 0),
        ("1.3.6.1.4.1.3704.1.3.7", 0),
        ("1.3.6.1.4.1.3704.1.3.8", 200),
    ];
    if product == Product::Turin {
        levels.push(("1.3.6.1.4.1.3704.1.3.9", 4));
    }
    let mut extensions: Vec<_> = levels.into_iter().map(|(oid, level)| (oid, false, level.to_der().unwrap())).collect();
    extensions.push((PRODUCT_NAME, false, text(&format!("{product}-B1"))));
    extensions.push((HARDWARE_ID, false, vec![0xc1; if product == Product::Turin { 8 } else { 64 }]));
    Made {
        subject: "SEV-VCEK".into(),
        issuer: format!("SEV-{product}"),
        serial: 3,
        validity: (AT - YEAR, AT + YEAR),
        spki: spki.as_bytes().to_vec(),
        extensions,
    }
}

/// The same of a provider.
pub fn vlek(product: Product) -> Made {
    let mut made = vcek(product);
    made.subject = "SEV-VLEK".into();
    made.issuer = format!("SEV-VLEK-{product}");
    made.extensions.retain(|(oid, ..)| *oid != HARDWARE_ID);
    made.extensions.push((PROVIDER_ID, false, text("provider")));
    made
}

/// The unsigned part of a report that goes with [`vcek`].
pub fn report(product: Product, version: u32) -> Vec<u8> {
    let mut bytes = vec![0; 1184];
    bytes[0] = u8::try_from(version).unwrap();
    bytes[8..16].copy_from_slice(&0x3_0000_u64.to_le_bytes());
    bytes[0x34] = 1;
    let (tcb, chip): ([u8; 8], usize) = match product {
        Product::Milan | Product::Genoa => ([1, 2, 0, 0, 0, 0, 3, 200], 64),
        Product::Turin => ([4, 1, 2, 3, 0, 0, 0, 200], 8),
    };
    bytes[0x180..0x188].copy_from_slice(&tcb);
    bytes[0x1a0..0x1a0 + chip].fill(0xc1);
    if version >= 3 {
        bytes[0x188..0x18b].copy_from_slice(match product {
            Product::Milan => &[0x19, 0x01, 1],
            Product::Genoa => &[0x19, 0x11, 1],
            Product::Turin => &[0x1a, 0x02, 1],
        });
    }
    if version >= 5 {
        bytes[0x1f8] = 1;
        bytes[0x200] = 1;
    }
    bytes
}

/// The bytes of a report with a right signature.
pub fn sign(mut bytes: Vec<u8>) -> Vec<u8> {
    let signature: p384::ecdsa::Signature = chip_key().sign(&bytes[..0x2a0]);
    let (mut r, mut s) = signature.split_bytes();
    r.reverse();
    s.reverse();
    bytes[0x2a0..0x2d0].copy_from_slice(&r);
    bytes[0x2e8..0x318].copy_from_slice(&s);
    bytes
}

/// Certificates of the signing key and the root.
pub fn chain(product: Product) -> Vec<Certificate> {
    let [root, issuer] = keys();
    let (ark, ask) = (format!("ARK-{product}"), format!("SEV-{product}"));
    vec![authority(&ask, &ark, issuer).sign(root), authority(&ark, &ark, root).sign(root)]
}
