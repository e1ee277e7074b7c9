//! Where inputs may come from, and in which order they are asked.
//!
//! No mirror is trusted: whoever asks one checks what comes. Asked are, after the local store: what `SEALSTONE_MIRROR` names
//! (folders of files named by their SHA-256, or base URLs that are asked for the pool path); the mirrors that a Debian host's own
//! apt is set up with; the snapshot archive at the lock's timestamp, which keeps every version for good.

mod apt;
mod health;

use std::fmt;
use std::path::PathBuf;

use sealstone_spec::{Lock, LockedFile, Repository, Sha256, Snapshot};

pub use apt::AptFile;
pub(crate) use health::Health;

use crate::error::{InputsError, Result};
use crate::http::{Client, Network};

/// The one host name in the code: Debian's own archive of everything that it ever published. Plain http, because digests and
/// index signatures protect what comes, and because it works on a host without root certificates.
pub const SNAPSHOT_ARCHIVE: &str = "http://snapshot.debian.org/archive";

/// An archive as it was at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveRef {
    /// The moment.
    pub snapshot: Snapshot,
    /// Which archive; each has a pool of its own.
    pub repository: Repository,
}

impl ArchiveRef {
    /// Where a locked file was when it was locked. `None` if the lock doesn't have the file's archive, which a parsed lock always has.
    pub fn of(lock: &Lock, file: &LockedFile) -> Option<ArchiveRef> {
        let archive = lock.archive(&file.archive)?;
        Some(ArchiveRef { snapshot: archive.snapshot, repository: archive.repository })
    }
}

/// Everything about the surroundings that decides where inputs come from, as values.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The value of `SEALSTONE_MIRROR`: folders and base URLs, separated by commas.
    pub mirror: Option<String>,
    /// Apt's source files.
    pub apt: Vec<AptFile>,
    /// The snapshot archive; `None` to do without it.
    pub snapshot: Option<String>,
    /// Proxies and root certificates.
    pub network: Network,
}

impl Settings {
    /// From environment variables (given by `lookup`, so that nothing reads the environment behind its caller's back) and apt's
    /// source files.
    pub fn new(lookup: impl Fn(&str) -> Option<String>, apt: Vec<AptFile>) -> Settings {
        let network = Network::from_variables(&lookup);
        // A proxy commonly lets nothing but port 443 through its CONNECT method, which is what the client uses for http as well.
        let snapshot = match network.https_proxy {
            Some(_) => SNAPSHOT_ARCHIVE.replacen("http:", "https:", 1),
            None => SNAPSHOT_ARCHIVE.to_owned(),
        };
        Settings { mirror: lookup("SEALSTONE_MIRROR"), apt, snapshot: Some(snapshot), network }
    }
}

/// The mirrors in the order in which they are asked.
pub struct Mirrors {
    list: Vec<Mirror>,
    pub(crate) client: Client,
}

impl Mirrors {
    /// Parses the settings. Touches neither network nor files.
    pub fn new(settings: &Settings) -> Result<Mirrors> {
        let mut places = named(settings.mirror.as_deref().unwrap_or_default())?;
        places.extend(apt::mirrors(&settings.apt).into_iter().map(|(base, serves)| Place::Archive { base, serves }));
        places.extend(settings.snapshot.clone().map(|base| Place::Snapshot { base }));
        let list = places.into_iter().map(|place| Mirror { place, health: Health::default() }).collect();
        Ok(Mirrors { list, client: Client::new(&settings.network)? })
    }

    /// The mirrors that may have a file, best first: the order of the settings, but those that keep failing last.
    pub(crate) fn in_order(&self) -> Vec<&Mirror> {
        let (good, demoted): (Vec<_>, Vec<_>) = self.list.iter().partition(|mirror| !mirror.health.is_demoted());
        good.into_iter().chain(demoted).collect()
    }

    /// Folders of files named by their SHA-256, in order.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        self.list.iter().filter_map(|mirror| match &mirror.place {
            Place::Folder(path) => Some(path),
            _ => None,
        })
    }
}

/// One mirror and how it has behaved so far.
pub(crate) struct Mirror {
    place: Place,
    pub(crate) health: Health,
}

enum Place {
    Folder(PathBuf),
    Base(String),
    Archive { base: String, serves: Repository },
    Snapshot { base: String },
}

/// Where exactly a mirror has a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    File(PathBuf),
    Url(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::File(path) => write!(f, "{}", path.display()),
            Location::Url(url) => f.write_str(url),
        }
    }
}

impl Mirror {
    /// How people know it.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Folder(path) => path.display().to_string(),
            Place::Base(base) | Place::Archive { base, .. } | Place::Snapshot { base } => base.clone(),
        }
    }

    /// A folder without a file says nothing about its other files; only servers are demoted for what they lack.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// Where it would have a file known by its digest, its pool path, or both. `None` if it can't have it.
    pub(crate) fn file(&self, sha256: &Sha256, pool_path: Option<&str>, archive: Option<ArchiveRef>) -> Option<Location> {
        match &self.place {
            Place::Folder(folder) => Some(Location::File(folder.join(sha256.to_string()))),
            _ => self.path(pool_path?, archive),
        }
    }

    /// Where it would have a path of an archive. `None` if it can't have it.
    pub(crate) fn path(&self, path: &str, archive: Option<ArchiveRef>) -> Option<Location> {
        let path = encode(path);
        match &self.place {
            Place::Folder(_) => None,
            Place::Base(base) => Some(Location::Url(format!("{base}/{path}"))),
            Place::Archive { base, serves } => (archive?.repository == *serves).then(|| Location::Url(format!("{base}/{path}"))),
            Place::Snapshot { base } => {
                let ArchiveRef { snapshot, repository } = archive?;
                Some(Location::Url(format!("{base}/{repository}/{snapshot}/{path}")))
            }
        }
    }
}

/// What `SEALSTONE_MIRROR` names.
fn named(value: &str) -> Result<Vec<Place>> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(place).collect()
}

fn place(item: &str) -> Result<Place> {
    let refuse = |problem: &str| {
        let problem = format!("`{item}` {problem}; write an absolute folder or a base URL that starts with http:// or https://");
        Err(InputsError::Setting { name: "SEALSTONE_MIRROR".to_owned(), problem })
    };
    if item.starts_with("http://") || item.starts_with("https://") {
        let base = item.trim_end_matches('/');
        let host = base.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        return if host.is_empty() || base.contains(['?', '#']) {
            refuse("is no base URL")
        } else {
            Ok(Place::Base(base.to_owned()))
        };
    }
    let path = PathBuf::from(item.strip_prefix("file://").unwrap_or(item));
    if path.is_absolute() { Ok(Place::Folder(path)) } else { refuse("is neither an absolute folder nor a base URL") }
}

/// Percent-encodes what a URL's path can't hold. Pool paths are ASCII; `+`, `~` and `:` are usual in them and stand for themselves,
/// except that some servers read `+` as a space, so it is encoded as well (RFC 3986, section 2.4).
fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.trim_start_matches('/').bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mirror: Option<&str>, apt: &str) -> Settings {
        let apt = vec![AptFile { path: "sources.list".into(), text: apt.into() }];
        Settings::new(|name| mirror.filter(|_| name == "SEALSTONE_MIRROR").map(str::to_owned), apt)
    }

    fn locations(settings: &Settings, repository: Repository) -> Vec<String> {
        let at = ArchiveRef { snapshot: "20260712T000000Z".parse().unwrap(), repository };
        let sha256 = Sha256::of(b"");
        let mirrors = Mirrors::new(settings).unwrap();
        let all =
            mirrors.in_order().into_iter().filter_map(|mirror| mirror.file(&sha256, Some("pool/main/g/g++_1+b~1.deb"), Some(at)));
        all.map(|location| match location {
            Location::File(path) => path.display().to_string(),
            Location::Url(url) => url,
        })
        .collect()
    }

    #[test]
    fn order_of_the_design() {
        let apt = "deb http://m.example/debian bookworm main\ndeb http://s.example/sec bookworm-security main";
        let all = settings(Some("/srv/files, http://b.example/x/ ,/other"), apt);
        let empty = Sha256::of(b"");
        assert_eq!(
            locations(&all, Repository::Debian),
            [
                format!("/srv/files/{empty}"),
                "http://b.example/x/pool/main/g/g%2B%2B_1%2Bb~1.deb".into(),
                format!("/other/{empty}"),
                "http://m.example/debian/pool/main/g/g%2B%2B_1%2Bb~1.deb".into(),
                "http://snapshot.debian.org/archive/debian/20260712T000000Z/pool/main/g/g%2B%2B_1%2Bb~1.deb".into(),
            ]
        );
        assert_eq!(
            locations(&settings(None, apt), Repository::DebianSecurity),
            [
                "http://s.example/sec/pool/main/g/g%2B%2B_1%2Bb~1.deb",
                "http://snapshot.debian.org/archive/debian-security/20260712T000000Z/pool/main/g/g%2B%2B_1%2Bb~1.deb",
            ]
        );
    }

    #[test]
    fn bad_mirror_settings_are_refused() {
        for bad in ["relative/folder", "ftp://x.example", "http://", "https:///", "http://x.example/?a", "host.example"] {
            let error = Mirrors::new(&settings(Some(bad), "")).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(&format!("SEALSTONE_MIRROR: `{bad}` ")), "{bad}: {error}");
        }
        for good in ["", " , ", "/a", "file:///a", "http://x.example"] {
            assert!(Mirrors::new(&settings(Some(good), "")).is_ok(), "{good}");
        }
    }
}
