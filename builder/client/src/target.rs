//! Where an image's front is.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// The address of a front: `http://HOST[:PORT]` or, the same, `ws://…`. Without a port it is 80.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    port: u16,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Not a URL at all.
    #[error("not a URL; write http://HOST:PORT")]
    Syntax,
    /// Another scheme.
    #[error("the scheme is neither http nor ws; the channel needs no TLS under it: what it carries is encrypted to the image")]
    Scheme,
    /// A path, a query or a user's name, which none of the front's addresses has.
    #[error("a path, a query or a user name has no place in it; write http://HOST:PORT")]
    Rest,
}

impl Target {
    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As it stands in a `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let uri: Uri = text.parse().map_err(|_| TargetError::Syntax)?;
        let authority = uri.authority().ok_or(TargetError::Syntax)?;
        if !matches!(uri.scheme_str(), Some("http" | "ws")) {
            return Err(TargetError::Scheme);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.as_str().contains('@') {
            return Err(TargetError::Rest);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // The library reads a port that is too large as none at all.
        let port = match authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
            Some(port) => port.parse().map_err(|_| TargetError::Syntax)?,
            None => 80,
        };
        if host.is_empty() { Err(TargetError::Syntax) } else { Ok(Self { host, port }) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let table = [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("ws://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://image.example", "http://image.example:80"),
        ];
        for (text, shown) in table {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), shown);
        }
        let table = [
            ("", TargetError::Syntax),
            ("127.0.0.1:8080", TargetError::Scheme),
            ("/v1", TargetError::Syntax),
            ("http://", TargetError::Syntax),
            ("http://x:", TargetError::Syntax),
            ("http://x:99999", TargetError::Syntax),
            ("https://x", TargetError::Scheme),
            ("ftp://x", TargetError::Scheme),
            ("http://x/v1", TargetError::Rest),
            ("http://x/?a", TargetError::Rest),
            ("http://user@x", TargetError::Rest),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Target>(), Err(error), "{text}");
        }
    }
}
