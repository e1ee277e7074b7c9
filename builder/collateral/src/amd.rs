//! AMD's Key Distribution Service (AMD 57230, chapter 4).
//!
//! | path | gives |
//! | --- | --- |
//! | `/vcek/v1/PRODUCT/HWID?blSPL=…&teeSPL=…&snpSPL=…&ucodeSPL=…` | the certificate of a chip's VCEK for one TCB, DER; on Turin with `fmcSPL` in front |
//! | `/vcek/v1/PRODUCT/cert_chain`, `/vlek/v1/PRODUCT/cert_chain` | the issuer's certificate, then the root's, PEM |
//! | `/vcek/v1/PRODUCT/crl`, `/vlek/v1/PRODUCT/crl` | the root's revocation list, DER |
//!
//! PRODUCT is the name of the root: Bergamo and Siena are asked for as Genoa. HWID is the whole chip id, on Turin its first eight bytes.

use sealstone_evidence::snp::{Product, Report, SigningKey, Tcb};
use sealstone_evidence::x509::{Certificate, CertificateError, RevocationList};

use crate::error::FetchError;
use crate::files::{Fetched, File};
use crate::service::{Request, Vendors};

/// The option that names another service.
const OPTION: &str = "--amd";
/// A certificate has about 1.4 KB, a chain 4.5 KB.
const MAX_CERTIFICATE: usize = 16 << 10;
const MAX_CHAIN: usize = 64 << 10;
/// AMD's lists name signing keys, of which there are few.
const MAX_LIST: usize = 256 << 10;

/// What is there already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Have<'a> {
    /// Certificate of the key that signed the report.
    pub endorsement: Option<&'a Certificate>,
    /// Certificates above it.
    pub chain: &'a [Certificate],
    /// Whether there is a revocation list.
    pub revocation: bool,
}

/// Whether a certificate is a VLEK's.
pub(crate) fn is_vlek(certificate: &Certificate) -> bool {
    certificate.common_name() == "SEV-VLEK"
}

/// Fetches what is missing for `report`. `product` is the generation of the processor, for reports of version 2, which don't say it.
///
/// # Errors
/// If the report doesn't say enough, or the service gives something else than what it was asked for.
pub fn fetch(report: &Report, have: &Have<'_>, product: Option<Product>, vendors: &Vendors<'_>) -> Result<Fetched, FetchError> {
    let kind = match report.signing_key {
        SigningKey::Vcek => "vcek",
        SigningKey::Vlek => "vlek",
        _ => return Err(FetchError::Unsigned),
    };
    let product = which(report, product)?;
    let mut fetched = Fetched::default();
    let fresh = match have.endorsement {
        None if kind == "vcek" => Some(endorsement(report, product, vendors)?),
        None => {
            fetched.notes.push(
                "AMD gives a VLEK's certificate to the provider whose key it is and to nobody else; the machine or its provider has it".into(),
            );
            None
        }
        Some(_) => None,
    };
    let has_issuer = have.endorsement.is_some_and(|leaf| have.chain.iter().any(|above| leaf.names_issuer(above)));
    if !has_issuer || fresh.is_some() {
        let chain = chain(kind, product, vendors)?;
        let leaf = fresh.as_ref().or(have.endorsement);
        certificates(&mut fetched, fresh.as_ref(), leaf, &chain);
    }
    if !have.revocation {
        let bytes = list(kind, product, vendors)?;
        fetched.files.push(File { name: "crl.der", options: "--crl", bytes });
    }
    Ok(fetched)
}

/// The files that the certificates go into: apart, for raw reports, and all in one, for evidence documents.
fn certificates(fetched: &mut Fetched, fresh: Option<&Certificate>, leaf: Option<&Certificate>, chain: &[Certificate]) {
    let above: String = chain.iter().map(Certificate::to_pem).collect();
    if let Some(fresh) = fresh {
        fetched.files.push(File { name: "vcek.pem", options: "snp --vcek", bytes: fresh.to_pem().into() });
    }
    if let Some(leaf) = leaf {
        fetched.files.push(File { name: "certificates.pem", options: "--certificates", bytes: (leaf.to_pem() + &above).into() });
    }
    fetched.files.push(File { name: "chain.pem", options: "snp --chain", bytes: above.into() });
}

/// The generation, from the report where it says so.
fn which(report: &Report, given: Option<Product>) -> Result<Product, FetchError> {
    let Some([family, model, _]) = report.cpuid else {
        return given.ok_or(FetchError::ProductUnknown);
    };
    let said = Product::of_cpuid(family, model).ok_or(FetchError::Processor { family, model })?;
    match given {
        Some(given) if given != said => Err(FetchError::ProductOther { said, given }),
        _ => Ok(said),
    }
}

fn endorsement(report: &Report, product: Product, vendors: &Vendors<'_>) -> Result<Certificate, FetchError> {
    let url = vendors.amd(&endorsement_path(report, product)?);
    let request = Request { what: "the VCEK's certificate", url, limit: MAX_CERTIFICATE, header: None, of: "chip at this TCB" };
    let document = vendors.get(&request, OPTION)?;
    Certificate::from_pem_or_der(request.what, &document.bytes).map_err(|error| unusable(&request, error))
}

/// The key is derived from the reported TCB, so that is the one to ask for.
fn endorsement_path(report: &Report, product: Product) -> Result<String, FetchError> {
    let chip = report.chip_id.get(..product.hardware_id_length()).unwrap_or_default();
    if report.chip_key_masked || chip.iter().all(|byte| *byte == 0) {
        return Err(FetchError::Masked);
    }
    let Tcb { fmc, bootloader, tee, snp, microcode, .. } = report.reported_tcb.decode(product);
    let fmc = fmc.map(|level| format!("fmcSPL={level:02}&")).unwrap_or_default();
    let chip = data_encoding::HEXLOWER.encode(chip);
    Ok(format!("/vcek/v1/{product}/{chip}?{fmc}blSPL={bootloader:02}&teeSPL={tee:02}&snpSPL={snp:02}&ucodeSPL={microcode:02}"))
}

fn chain(kind: &str, product: Product, vendors: &Vendors<'_>) -> Result<Vec<Certificate>, FetchError> {
    let url = vendors.amd(&format!("/{kind}/v1/{product}/cert_chain"));
    let request = Request { what: "the certificates above it", url, limit: MAX_CHAIN, header: None, of: "product" };
    let document = vendors.get(&request, OPTION)?;
    Certificate::list_from_pem(request.what, &document.bytes).map_err(|error| unusable(&request, error))
}

fn list(kind: &str, product: Product, vendors: &Vendors<'_>) -> Result<Vec<u8>, FetchError> {
    let url = vendors.amd(&format!("/{kind}/v1/{product}/crl"));
    let request = Request { what: "the revocation list", url, limit: MAX_LIST, header: None, of: "product" };
    let document = vendors.get(&request, OPTION)?;
    match RevocationList::from_der(request.what, &document.bytes) {
        Ok(_) => Ok(document.bytes),
        Err(error) => Err(unusable(&request, error)),
    }
}

fn unusable(request: &Request, error: CertificateError) -> FetchError {
    FetchError::Unusable { what: request.what, url: request.url.clone(), why: error.to_string() }
}
