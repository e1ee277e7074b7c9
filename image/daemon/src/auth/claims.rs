//! What a token says (RFC 7519, section 4). Names that aren't known are passed over, as the standard wants it; a name that stands there twice is
//! refused, whether known or not: another reader could take the other one.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};

use super::Denied;

/// Seconds by which an issuer's clock may be ahead of the host's.
const LEEWAY: u64 = 60;

/// A time from here on, in the year 2514, is one in milliseconds.
const MAX_DATE: u64 = 1 << 34;

/// The claims that are looked at. Times are in seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Claims {
    audiences: Vec<String>,
    expires: Option<Date>,
    not_before: Option<Date>,
    /// When it was made, by the issuer's clock.
    pub(super) issued: Option<u64>,
    scope: String,
}

impl Claims {
    pub(super) fn is_for(&self, audience: &str) -> bool {
        self.audiences.iter().any(|found| found == audience)
    }

    /// Words, separated by spaces (RFC 8693, section 4.2).
    pub(super) fn has_scope(&self, word: &str) -> bool {
        self.scope.split(' ').any(|found| found == word)
    }

    /// Whether it is good at `now`. One that never expires never is.
    pub(super) fn check_time(&self, now: u64) -> Result<(), Denied> {
        let Some(Date(expires)) = self.expires else { return Err(Denied::Invalid) };
        if self.issued.is_some_and(|issued| issued > expires) {
            return Err(Denied::Invalid);
        }
        if self.not_before.is_some_and(|Date(from)| from > now.saturating_add(LEEWAY)) {
            return Err(Denied::Invalid);
        }
        if now >= expires { Err(Denied::Expired) } else { Ok(()) }
    }
}

/// A NumericDate in whole seconds.
#[derive(Clone, Copy, Debug)]
struct Date(u64);

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
        let seconds = u64::deserialize(from)?;
        if seconds < MAX_DATE { Ok(Date(seconds)) } else { Err(D::Error::custom("not in seconds")) }
    }
}

/// One or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Claims, D::Error> {
        from.deserialize_map(ClaimsVisitor)
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims, A::Error> {
        let (mut claims, mut names) = (Claims::default(), BTreeSet::new());
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "aud" => {
                    claims.audiences = match map.next_value()? {
                        Audiences::One(audience) => vec![audience],
                        Audiences::Several(audiences) => audiences,
                    }
                }
                "exp" => claims.expires = Some(map.next_value()?),
                "nbf" => claims.not_before = Some(map.next_value()?),
                "iat" => claims.issued = Some(map.next_value::<Date>()?.0),
                "scope" => claims.scope = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if !names.insert(name) {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(claims)
    }
}
