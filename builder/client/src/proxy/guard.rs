//! Keeps pages in this machine's browser away. A page may send requests to loopback, and with a name of its own that resolves
//! to it (DNS rebinding) even read the answers; programs have no reason to say either of what is refused here.

use hyper::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::{Response, StatusCode};

use super::{Body, answers};

/// The refusal of a request whose host or origin isn't this machine.
pub(super) fn refuse(headers: &HeaderMap) -> Option<Response<Body>> {
    if !only(headers, &HOST).is_some_and(is_loopback) {
        return Some(answers::problem(StatusCode::FORBIDDEN, "foreign_host", "the Host isn't loopback"));
    }
    if headers.contains_key(ORIGIN)
        && !only(headers, &ORIGIN).and_then(|origin| origin.split_once("://")).is_some_and(|(_, host)| is_loopback(host))
    {
        return Some(answers::problem(StatusCode::FORBIDDEN, "foreign_origin", "a page of another origin asks"));
    }
    None
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// Whether a host, perhaps with a port, is this machine by a name that no one else can give himself.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(host, |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_asks() {
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[("host", "127.0.0.1:8080")], true),
            (&[("host", "127.0.0.1")], true),
            (&[("host", "localhost:8080")], true),
            (&[("host", "[::1]:8080")], true),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:3000")], true),
            (&[("host", "localhost:8080"), ("origin", "http://[::1]:3000")], true),
            (&[], false),
            (&[("host", "evil.example:8080")], false),
            (&[("host", "127.0.0.1.evil.example")], false),
            (&[("host", "localhost.evil.example")], false),
            (&[("host", "[::2]:8080")], false),
            (&[("host", "[::1")], false),
            (&[("host", "localhost"), ("host", "evil.example")], false),
            (&[("host", "localhost"), ("origin", "https://evil.example")], false),
            (&[("host", "localhost"), ("origin", "null")], false),
            (&[("host", "localhost"), ("origin", "")], false),
        ];
        for (headers, allowed) in table {
            let map: HeaderMap = headers.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap())).fold(
                HeaderMap::new(),
                |mut map, (name, value)| {
                    map.append(name, value);
                    map
                },
            );
            assert_eq!(refuse(&map).is_none(), *allowed, "{headers:?}");
        }
    }
}
