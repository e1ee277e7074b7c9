//! What of a message is for the next hop only (RFC 9110, section 7.6.1), and what HTTP/2 says otherwise.

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use hyper::{Request, Response, Uri, Version};

/// The authority of requests inside the channel. The front has one name for whoever is there.
const AUTHORITY: &str = "sealstone";

/// The request as it goes on inside. An error if its target isn't a path.
pub(super) fn inward(request: Request<Incoming>) -> Result<Request<Incoming>, ()> {
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().cloned().ok_or(())?;
    head.uri = Uri::builder().scheme("http").authority(AUTHORITY).path_and_query(path).build().map_err(|_| ())?;
    head.version = Version::HTTP_2;
    head.headers.remove(HOST);
    strip(&mut head.headers);
    Ok(Request::from_parts(head, body))
}

/// The answer as it goes out to the proxy's client.
pub(super) fn outward(response: Response<Incoming>) -> Response<Incoming> {
    let (mut head, body) = response.into_parts();
    head.version = Version::HTTP_11;
    strip(&mut head.headers);
    Response::from_parts(head, body)
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let fixed = [CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let others = ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization"].map(HeaderName::from_static);
    for name in named.into_iter().chain(fixed).chain(others) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_fields_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "secret"),
            ("authorization", "Bearer x"),
            ("content-type", "application/json"),
        ] {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-type"]);
    }
}
