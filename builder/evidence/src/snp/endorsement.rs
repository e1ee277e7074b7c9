//! What the certificate of a VCEK or VLEK says besides its key (KDS specification, chapter 3: OIDs under 1.3.6.1.4.1.3704.1).

use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier};

use crate::x509::Certificate;

use super::report::SigningKey;
use super::roots::Product;
use super::tcb::Tcb;

const PRODUCT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.3");
const SPL_4: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.4");
const SPL_5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.5");
const SPL_6: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.6");
const SPL_7: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.7");
const MICROCODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.4");
const PROVIDER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.3704.1.5");

/// The claims of an endorsement certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// Which kind of key it certifies.
    pub key: SigningKey,
    /// Product and stepping, such as `Milan-B0`.
    pub product_name: String,
    /// TCB that the key was derived from.
    pub tcb: Tcb,
    /// Whom the key belongs to.
    pub hardware: HardwareId,
}

/// Whom an endorsement key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HardwareId {
    /// A chip: 64 bytes on Milan and Genoa, 8 on Turin.
    Chip(Vec<u8>),
    /// A cloud provider.
    Provider(String),
}

/// An endorsement certificate lacks something, or says something that doesn't belong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndorsementError {
    /// The subject is neither `SEV-VCEK` nor `SEV-VLEK`: not an endorsement key's certificate.
    #[error("the certificate's subject is `{0}`, not SEV-VCEK or SEV-VLEK")]
    Subject(String),
    /// An extension is missing or isn't of the right type.
    #[error("the certificate's extension {0} is missing or malformed")]
    Extension(ObjectIdentifier),
    /// The certificate is for another product than the root that signed it.
    #[error("the certificate is for `{found}`, but its root is {root}'s")]
    Product {
        /// The product name it holds.
        found: String,
        /// The product of its root.
        root: Product,
    },
    /// It names both a chip and a provider, or neither.
    #[error("the certificate must name a chip (VCEK) or a provider (VLEK), not both or neither")]
    Owner,
}

impl Endorsement {
    /// Reads the claims, as they are laid out for `product`.
    ///
    /// # Errors
    /// If an extension is missing, malformed, or doesn't go with the kind of key or the product.
    pub fn from_certificate(certificate: &Certificate, product: Product) -> Result<Self, EndorsementError> {
        let key = match certificate.common_name().as_str() {
            "SEV-VCEK" => SigningKey::Vcek,
            "SEV-VLEK" => SigningKey::Vlek,
            other => return Err(EndorsementError::Subject(other.to_owned())),
        };
        let product_name = text(certificate, PRODUCT_NAME)?;
        let family = product_name.split('-').next().unwrap_or_default();
        if !product.names().contains(&family) {
            return Err(EndorsementError::Product { found: product_name, root: product });
        }
        Ok(Self { key, product_name, tcb: tcb(certificate, product)?, hardware: owner(certificate, key, product)? })
    }
}

fn tcb(certificate: &Certificate, product: Product) -> Result<Tcb, EndorsementError> {
    let number = |oid| number(certificate, oid);
    // Turin's certificates carry an FMC level; on earlier products the extension doesn't exist and must not.
    let fmc = match (product, certificate.extension(FMC)) {
        (Product::Turin, _) => Some(number(FMC)?),
        (_, Some(_)) => return Err(EndorsementError::Extension(FMC)),
        (_, None) => None,
    };
    let mut reserved = [0; 4];
    for (level, oid) in reserved.iter_mut().zip([SPL_4, SPL_5, SPL_6, SPL_7]) {
        *level = match (product, certificate.extension(oid)) {
            // Turin's have been seen with and without them.
            (Product::Turin, None) => 0,
            _ => number(oid)?,
        };
    }
    Ok(Tcb {
        fmc,
        bootloader: number(BOOTLOADER)?,
        tee: number(TEE)?,
        snp: number(SNP)?,
        microcode: number(MICROCODE)?,
        reserved,
    })
}

fn owner(certificate: &Certificate, key: SigningKey, product: Product) -> Result<HardwareId, EndorsementError> {
    match (key, certificate.extension(HARDWARE_ID), certificate.extension(PROVIDER_ID)) {
        (SigningKey::Vcek, Some(id), None) if id.len() == product.hardware_id_length() => Ok(HardwareId::Chip(id.to_vec())),
        (SigningKey::Vcek, Some(_), None) => Err(EndorsementError::Extension(HARDWARE_ID)),
        (SigningKey::Vlek, None, Some(_)) => text(certificate, PROVIDER_ID).map(HardwareId::Provider),
        _ => Err(EndorsementError::Owner),
    }
}

/// A DER INTEGER from 0 to 255.
fn number(certificate: &Certificate, oid: ObjectIdentifier) -> Result<u8, EndorsementError> {
    let value = certificate.extension(oid).and_then(|der| u8::from_der(der).ok());
    value.ok_or(EndorsementError::Extension(oid))
}

/// A DER IA5String.
fn text(certificate: &Certificate, oid: ObjectIdentifier) -> Result<String, EndorsementError> {
    let value = certificate.extension(oid).and_then(|der| Ia5StringRef::from_der(der).ok());
    value.map(|text| text.as_str().to_owned()).ok_or(EndorsementError::Extension(oid))
}
