//! A member's name, as an archive says it, to a path that can't leave the tree.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::UnpackError;

/// Top-level directories that are links into `usr` in a merged tree (<https://wiki.debian.org/UsrMerge>). Bookworm's packages ship
/// files under both names. Adding one changes where packages' files go: raise `UNPACKER_VERSION`.
pub(super) const MERGED: &[&str] = &["bin", "lib", "lib64", "sbin"];

/// How the names of one archive are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Leading components to leave off.
    pub(super) strip: usize,
    /// Whether `bin/x` means `usr/bin/x`, and so on for [`MERGED`].
    pub(super) merged: bool,
}

impl Layout {
    /// Names as they are.
    pub(super) const PLAIN: Layout = Layout { strip: 0, merged: false };
}

/// A path below the tree: at least one component; none is empty, `.`, `..` or holds `/` or NUL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    components: Vec<Vec<u8>>,
}

impl Member {
    /// `None` for the tree itself and for what stripping leaves nothing of.
    ///
    /// # Errors
    /// [`UnpackError::Name`] for a name that is absolute, has a `..` component or holds NUL.
    pub(super) fn parse(raw: &[u8], layout: Layout) -> Result<Option<Member>, UnpackError> {
        let refuse = |why| Err(UnpackError::Name { name: shown(raw), why });
        if raw.starts_with(b"/") {
            return refuse("absolute names are refused");
        }
        if raw.contains(&0) {
            return refuse("it holds a NUL byte");
        }
        let named = |c: &&[u8]| !c.is_empty() && *c != b".";
        let mut components: Vec<Vec<u8>> = raw.split(|b| *b == b'/').filter(named).map(<[u8]>::to_vec).collect();
        if components.iter().any(|c| c == b"..") {
            return refuse("`..` in a name is refused");
        }
        components.drain(..layout.strip.min(components.len()));
        if layout.merged && components.first().is_some_and(|first| MERGED.iter().any(|m| m.as_bytes() == first)) {
            components.insert(0, b"usr".to_vec());
        }
        Ok((!components.is_empty()).then_some(Member { components }))
    }

    /// Everything but the last component.
    pub(super) fn parents(&self) -> &[Vec<u8>] {
        self.components.split_last().map_or(&[], |(_, parents)| parents)
    }

    /// All components.
    pub(super) fn components(&self) -> &[Vec<u8>] {
        &self.components
    }

    /// The last component.
    pub(super) fn last(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.components.last().map_or(b"", Vec::as_slice)))
    }

    /// The components joined by `/`: what makes two members the same.
    pub(super) fn joined(&self) -> Vec<u8> {
        self.components.join(&b'/')
    }

    /// For messages.
    pub(super) fn shown(&self) -> String {
        shown(&self.joined())
    }
}

/// Whether a package ships one of the merging links itself; they are made anyway.
pub(super) fn is_merging_link(name: &[u8], target: &[u8]) -> bool {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    let target = target.strip_prefix(b"/").unwrap_or(target);
    MERGED.iter().any(|m| m.as_bytes() == name) && target.strip_prefix(b"usr/") == Some(name)
}

pub(super) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(raw: &str, strip: usize, merged: bool) -> Option<String> {
        Member::parse(raw.as_bytes(), Layout { strip, merged }).unwrap().map(|m| m.shown())
    }

    #[test]
    fn names() {
        for (raw, strip, merged, want) in [
            ("./usr/bin/x", 0, true, Some("usr/bin/x")),
            ("./bin/x", 0, true, Some("usr/bin/x")),
            ("bin/x", 0, false, Some("bin/x")),
            ("./lib64/ld.so", 0, true, Some("usr/lib64/ld.so")),
            ("./library/x", 0, true, Some("library/x")),
            ("linux-6.12/Makefile", 1, false, Some("Makefile")),
            ("linux-6.12/", 1, false, None),
            ("pax_global_header", 1, false, None),
            ("./", 0, true, None),
            ("a//b/./c/", 0, false, Some("a/b/c")),
            ("a/...", 0, false, Some("a/...")),
        ] {
            assert_eq!(parsed(raw, strip, merged).as_deref(), want, "{raw}");
        }
    }

    #[test]
    fn refusals() {
        for raw in ["/etc/passwd", "../x", "a/../../x", "a/..", "..", "a\0b", "//x"] {
            assert!(Member::parse(raw.as_bytes(), Layout::PLAIN).is_err(), "{raw:?}");
            assert!(Member::parse(raw.as_bytes(), Layout { strip: 1, merged: true }).is_err(), "{raw:?} stripped");
        }
    }

    #[test]
    fn merging_links() {
        assert!(is_merging_link(b"./bin", b"usr/bin"));
        assert!(is_merging_link(b"lib64", b"/usr/lib64"));
        assert!(!is_merging_link(b"bin", b"usr/sbin"));
        assert!(!is_merging_link(b"usr/bin", b"usr/bin"));
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_tree(raw in proptest::collection::vec(any::<u8>(), 0..40), strip in 0usize..3, merged: bool) {
            if let Ok(Some(member)) = Member::parse(&raw, Layout { strip, merged }) {
                for component in member.components() {
                    prop_assert!(!component.is_empty() && component != b"." && component != b"..");
                    prop_assert!(!component.contains(&b'/') && !component.contains(&0));
                }
            }
        }
    }
}
