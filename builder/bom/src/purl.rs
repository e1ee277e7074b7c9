//! Package URLs, which name a package across tools. Source: ECMA-427, "Package-URL".

use sealstone_spec::{LockedFile, LockedSource, SourceOrigin};

/// Of a crate of the public registry: `pkg:cargo/serde@1.0.0`.
pub fn of_crate(name: &str, version: &str) -> String {
    format!("pkg:cargo/{}@{}", escape(name), escape(version))
}

/// Of a binary package: `pkg:deb/debian/gcc@12.2.0-3?arch=amd64&distro=bookworm`.
pub fn of_package(file: &LockedFile, suite: &str) -> String {
    deb(&file.name, file.version.as_str(), &file.arch, suite)
}

/// Of a source, which is either a source package or a binary package that holds source.
pub fn of_source(source: &LockedSource, suite: &str) -> String {
    let arch = source.files.first().map_or("source", |file| file.arch.as_str());
    match &source.origin {
        SourceOrigin::Package(name) => deb(name.as_str(), source.version.as_str(), arch, suite),
        SourceOrigin::Source(name) => deb(name.as_str(), source.version.as_str(), "source", suite),
    }
}

fn deb(name: &str, version: &str, arch: &str, suite: &str) -> String {
    format!("pkg:deb/debian/{}@{}?arch={}&distro={}", escape(name), escape(version), escape(arch), escape(suite))
}

/// Everything but the unreserved characters of RFC 3986 and the colon, which the specification leaves as it is.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(of_crate("serde", "1.0.229"), "pkg:cargo/serde@1.0.229");
        assert_eq!(of_crate("wasi", "0.11.1+wasi-snapshot-preview1"), "pkg:cargo/wasi@0.11.1%2Bwasi-snapshot-preview1");
        let found = deb("g++", "4:12.2.0-3~x", "amd64", "bookworm");
        assert_eq!(found, "pkg:deb/debian/g%2B%2B@4:12.2.0-3~x?arch=amd64&distro=bookworm");
    }
}
