//! The mirrors that a Debian host's own apt is set up with: `sources.list(5)`, both the one-line and the deb822 style.
//!
//! Only what serves the Debian archive is taken: an entry of type `deb`, with a component `main`, whose suites are Debian's,
//! over http or https. Everything else (other vendors, `file:`, `cdrom:`, mirror lists) is passed over without complaint,
//! since apt's own settings are none of our business.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealstone_spec::Repository;

/// Suites whose packages lie in Debian's pool; security suites are these with a suffix.
const SUITES: &[&str] = &[
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// What may follow a suite's name in the main archive.
const MAIN_SUFFIXES: &[&str] = &["", "-updates", "-backports", "-backports-sloppy", "-proposed-updates"];

/// What may follow a suite's name in the security archive; the second is the form before bullseye.
const SECURITY_SUFFIXES: &[&str] = &["-security", "/updates"];

/// One of apt's source files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AptFile {
    /// Where it was read; the suffix tells the style: `.sources` is deb822, everything else one-line.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

impl AptFile {
    /// The files below `etc_apt` (`/etc/apt` on a real host) that apt itself would read, sorted. A folder that isn't there
    /// gives none; a file that can't be read is passed over, because apt's settings are a help and never a need.
    pub fn read_all(etc_apt: &Path) -> Vec<AptFile> {
        let mut paths = vec![etc_apt.join("sources.list")];
        paths.extend(parts(&etc_apt.join("sources.list.d")).unwrap_or_default());
        paths.into_iter().filter_map(|path| Some(AptFile { text: fs::read_to_string(&path).ok()?, path })).collect()
    }

    fn entries(&self) -> Vec<Entry> {
        match self.path.extension() {
            Some(suffix) if suffix == "sources" => deb822(&self.text),
            _ => self.text.lines().filter_map(one_line).collect(),
        }
    }
}

/// Base URLs without a slash at the end, each with the archive that it serves, in apt's order and without repetition.
pub(super) fn mirrors(files: &[AptFile]) -> Vec<(String, Repository)> {
    let mut found = Vec::new();
    for entry in files.iter().flat_map(AptFile::entries).filter(Entry::is_usable) {
        let archives: Vec<Repository> = entry.suites.iter().filter_map(|suite| archive_of(suite)).collect();
        for uri in entry.uris.iter().map(|uri| uri.trim_end_matches('/')).filter(|uri| is_http(uri)) {
            for archive in &archives {
                let mirror = (uri.to_owned(), *archive);
                if !found.contains(&mirror) {
                    found.push(mirror);
                }
            }
        }
    }
    found
}

/// What both styles say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    types: Vec<String>,
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    disabled: bool,
}

impl Entry {
    fn is_usable(&self) -> bool {
        let names = |list: &[String], wanted| list.iter().any(|word| word == wanted);
        !self.disabled && names(&self.types, "deb") && names(&self.components, "main")
    }
}

/// `deb [option=value …] uri suite component…`
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    Some(Entry {
        types: vec![kind.to_owned()],
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        disabled: false,
    })
}

/// Stanzas of `Field: value` lines; a line that starts with white space continues the field above, `#` starts a comment line.
fn deb822(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.extend((!fields.is_empty()).then(|| stanza(&fields)));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    entries
}

fn stanza(fields: &[(String, String)]) -> Entry {
    let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let words = |name: &str| value(name).split_whitespace().map(str::to_owned).collect();
    Entry {
        types: words("types"),
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        disabled: matches!(value("enabled").to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off" | "without" | "disable"),
    }
}

fn archive_of(suite: &str) -> Option<Repository> {
    let with =
        |suffixes: &[&str]| SUITES.iter().any(|name| suite.strip_prefix(name).is_some_and(|suffix| suffixes.contains(&suffix)));
    if with(MAIN_SUFFIXES) {
        Some(Repository::Debian)
    } else if with(SECURITY_SUFFIXES) {
        Some(Repository::DebianSecurity)
    } else {
        None
    }
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

fn parts(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|suffix| suffix == "list" || suffix == "sources") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        let file = AptFile { path: name.into(), text: text.into() };
        mirrors(&[file]).into_iter().map(|(url, archive)| format!("{archive} {url}")).collect()
    }

    #[test]
    fn both_styles() {
        let cases: &[(&str, &str, &str, &[&str])] = &[
            ("plain", "a.list", "deb http://m.example/debian bookworm main", &["debian http://m.example/debian"]),
            ("slash at the end", "a.list", "deb https://m.example/debian/ sid main", &["debian https://m.example/debian"]),
            (
                "options with spaces",
                "a.list",
                "deb [ arch=amd64 signed-by=/k.gpg ] http://m.example/d trixie-updates main non-free",
                &["debian http://m.example/d"],
            ),
            ("security", "a.list", "deb http://s.example/x bookworm-security main", &["debian-security http://s.example/x"]),
            ("old security", "a.list", "deb http://s.example/x bullseye/updates main", &["debian-security http://s.example/x"]),
            ("source packages", "a.list", "deb-src http://m.example/debian bookworm main", &[]),
            ("comment", "a.list", "# deb http://m.example/debian bookworm main", &[]),
            ("comment behind", "a.list", "deb http://m.example/d bookworm main # local", &["debian http://m.example/d"]),
            ("other vendor", "a.list", "deb https://v.example/apt cloud-sdk-bookworm main", &[]),
            ("other suite", "a.list", "deb http://m.example/ubuntu noble main", &[]),
            ("no main", "a.list", "deb http://m.example/debian bookworm contrib", &[]),
            ("other transports", "a.list", "deb cdrom:[Debian]/ bookworm main\ndeb file:/srv/d bookworm main", &[]),
            ("no host", "a.list", "deb http:// bookworm main", &[]),
            ("open bracket", "a.list", "deb [arch=amd64 http://m.example/debian bookworm main", &[]),
            ("cut short", "a.list", "deb\ndeb http://m.example\ndeb  ", &[]),
            (
                "twice",
                "a.list",
                "deb http://m.example/d bookworm main\ndeb http://m.example/d bookworm-updates main",
                &["debian http://m.example/d"],
            ),
            (
                "deb822, comment inside, continuation, two stanzas",
                "a.sources",
                "Types: deb deb-src\n# note\nURIs: http://a.example/debian\n http://b.example/debian\nSuites: bookworm\n\
                 Components: main\nSigned-By: /k.gpg\n\nTypes: deb\nuris: http://s.example/\nSuites: trixie-security\nComponents: main",
                &["debian http://a.example/debian", "debian http://b.example/debian", "debian-security http://s.example"],
            ),
            (
                "deb822, disabled",
                "a.sources",
                "Enabled: No\nTypes: deb\nURIs: http://a.example/debian\nSuites: bookworm\nComponents: main",
                &[],
            ),
            (
                "deb822, both archives at one place",
                "a.sources",
                "Types: deb\nURIs: http://a.example/x\nSuites: bookworm bookworm-security\nComponents: main",
                &["debian http://a.example/x", "debian-security http://a.example/x"],
            ),
            ("deb822, continuation of nothing", "a.sources", " http://a.example\nrubbish\n", &[]),
            ("one-line text in a deb822 file", "a.sources", "deb http://m.example/debian bookworm main", &[]),
        ];
        for (what, name, text, expected) in cases {
            assert_eq!(found(name, text), *expected, "{what}");
        }
    }

    #[test]
    fn files_in_apts_order() {
        let dir = tempfile::tempdir().unwrap();
        let etc = dir.path();
        assert_eq!(AptFile::read_all(&etc.join("missing")), vec![]);
        fs::create_dir(etc.join("sources.list.d")).unwrap();
        for name in ["sources.list", "sources.list.d/b.list", "sources.list.d/a.sources", "sources.list.d/c.list.save"] {
            fs::write(etc.join(name), name).unwrap();
        }
        let names: Vec<String> = AptFile::read_all(etc).into_iter().map(|file| file.text).collect();
        assert_eq!(names, ["sources.list", "sources.list.d/a.sources", "sources.list.d/b.list"]);
    }

    proptest! {
        #[test]
        fn any_text_gives_http_urls_or_nothing(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("deb".to_owned()), Just("http://m.example/".to_owned()), Just("bookworm".to_owned()), Just("main".to_owned()),
                    Just("\n".to_owned()), Just("Types:".to_owned()), Just("\nURIs:".to_owned()), Just("\nSuites:".to_owned()),
                    Just("[".to_owned()), Just("]".to_owned()), any::<String>(),
                ],
                0..20,
            ),
            name in prop_oneof![Just("a.list"), Just("a.sources")],
        ) {
            let file = AptFile { path: name.into(), text: words.join(" ") };
            for (url, _) in mirrors(&[file]) {
                prop_assert!(is_http(&url) && !url.ends_with('/') && !url.contains(char::is_whitespace), "{}", url);
            }
        }
    }
}
