//! Who is asked, and how.

use std::time::Duration;

use sealstone_inputs::{Document, Documents, Refused};

use crate::error::FetchError;

/// AMD's Key Distribution Service.
pub const AMD: &str = "https://kdsintf.amd.com";
/// Intel's Provisioning Certification Service.
pub const INTEL: &str = "https://api.trustedservices.intel.com";
/// Intel's root's revocation list, which that service doesn't have; the root certificate names this place.
pub const INTEL_ROOT_LIST: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

/// One document that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it is, for people.
    pub what: &'static str,
    /// Where it is.
    pub url: String,
    /// Bytes that it may have at most. Several times what the vendors' largest has; the bound keeps a hostile answer cheap.
    pub limit: usize,
    /// A header of the answer that is wanted as well.
    pub header: Option<&'static str>,
    /// By what it is asked for, for the error when there is no such thing.
    pub of: &'static str,
}

/// Whoever answers.
pub trait Service {
    /// Gets one document; `on_pause` is told why and how long the service is waited for.
    ///
    /// # Errors
    /// What the service did instead of answering.
    fn get(&self, request: &Request, on_pause: &dyn Fn(&str, Duration)) -> Result<Document, Refused>;
}

impl Service for Documents {
    fn get(&self, request: &Request, on_pause: &dyn Fn(&str, Duration)) -> Result<Document, Refused> {
        Documents::get(self, &request.url, request.limit, request.header, on_pause)
    }
}

/// The vendors' addresses, without a slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    amd: String,
    intel: String,
    intel_root_list: String,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { amd: AMD.into(), intel: INTEL.into(), intel_root_list: INTEL_ROOT_LIST.into() }
    }
}

impl Addresses {
    /// The vendors' own addresses, except where others are given, such as those of a cache.
    ///
    /// # Errors
    /// [`FetchError::Address`] for what isn't an address.
    pub fn new(amd: Option<&str>, intel: Option<&str>, intel_root_list: Option<&str>) -> Result<Self, FetchError> {
        let own = Self::default();
        Ok(Self {
            amd: address("--amd", amd, own.amd)?,
            intel: address("--intel", intel, own.intel)?,
            intel_root_list: address("--intel-root-crl", intel_root_list, own.intel_root_list)?,
        })
    }
}

fn address(option: &'static str, given: Option<&str>, own: String) -> Result<String, FetchError> {
    let Some(given) = given else { return Ok(own) };
    let host = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://")).unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>');
    if host.is_empty() || host.starts_with(['/', ':']) || !host.chars().all(is_plain) {
        return Err(FetchError::Address { option, address: given.to_owned() });
    }
    Ok(given.trim_end_matches('/').to_owned())
}

/// What is happening, for whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A document is asked for.
    Asking {
        /// What.
        what: &'static str,
        /// Where.
        url: &'a str,
    },
    /// The service is to be left alone for a while.
    Pause {
        /// What was asked for.
        what: &'static str,
        /// What the service said.
        problem: &'a str,
        /// How long.
        pause: Duration,
    },
}

/// The vendors' services, and whoever watches.
pub struct Vendors<'a> {
    addresses: Addresses,
    service: &'a dyn Service,
    watch: &'a dyn Fn(Event<'_>),
}

impl<'a> Vendors<'a> {
    /// Asks at `addresses` through `service`, and tells `watch`.
    pub fn new(addresses: Addresses, service: &'a dyn Service, watch: &'a dyn Fn(Event<'_>)) -> Self {
        Self { addresses, service, watch }
    }

    /// A URL of AMD's service.
    pub(crate) fn amd(&self, path: &str) -> String {
        format!("{}{path}", self.addresses.amd)
    }

    /// A URL of Intel's service.
    pub(crate) fn intel(&self, path: &str) -> String {
        format!("{}{path}", self.addresses.intel)
    }

    /// Where Intel's root's revocation list is.
    pub(crate) fn intel_root_list(&self) -> String {
        self.addresses.intel_root_list.clone()
    }

    /// Asks; `option` is the one that names another service, for the error.
    pub(crate) fn get(&self, request: &Request, option: &'static str) -> Result<Document, FetchError> {
        let Request { what, of, .. } = *request;
        (self.watch)(Event::Asking { what, url: &request.url });
        let pause = |problem: &str, pause: Duration| (self.watch)(Event::Pause { what, problem, pause });
        let url = request.url.clone();
        self.service.get(request, &pause).map_err(|refused| match refused {
            Refused::Missing(problem) => FetchError::Missing { what, url, problem, of },
            other => FetchError::Service { what, url, problem: other.to_string(), option },
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "failing loudly is right in tests")]

    use super::*;

    #[test]
    fn addresses() {
        for good in ["https://cache.example", "http://127.0.0.1:8081/", "https://cache.example/pccs//"] {
            let made = Addresses::new(Some(good), None, None).unwrap();
            assert_eq!(made, Addresses { amd: good.trim_end_matches('/').into(), ..Addresses::default() });
        }
        for bad in [
            "",
            "cache.example",
            "ftp://cache.example",
            "https://",
            "https:///x",
            "http://a b",
            "http://a?x",
            "http://a#x",
            "http://a\n",
        ] {
            assert!(
                matches!(Addresses::new(None, Some(bad), None), Err(FetchError::Address { option: "--intel", .. })),
                "{bad:?}"
            );
        }
    }
}
