//! From the tree of a spec's text to [`Spec`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::auth;
use super::model;
use super::profile::{self, FirmwareFile, not_empty};
use super::{
    Address, AlsoSuite, Archive, Attestation, Firmware, FirmwarePlatform, Image, Isa, Kernel, Network, Repository, Root, SCHEMA,
    Source, SourceOrigin, Spec, Stub, Userland,
};
use crate::error::ProblemKind;
use crate::reader::{Cursor, Fields, shorten};
use crate::value::{Name, PackageName, RootPath, Sha256, SpecPath};

/// 1980-01-01, the first day that FAT can write down.
const FIRST_EPOCH: u64 = 315_532_800;
/// The kernel's COMMAND_LINE_SIZE on x86, with its NUL: what is longer is cut off without a word.
const CMDLINE_SIZE: usize = 2048;

/// `depth` is the number of folders from the repository's root down to the spec.
pub(super) fn spec(cursor: &Cursor<'_>, depth: usize, sha256: Sha256) -> Option<Spec> {
    let fields = cursor.fields(&[
        "schema",
        "image",
        "archives",
        "roots",
        "sources",
        "kernel",
        "userland",
        "firmware",
        "stub",
        "network",
        "models",
        "attestation",
        "auth",
        "profiles",
    ])?;
    let schema = fields.need("schema", schema);
    let image = fields.need("image", image);
    let archives = fields.need("archives", |c| c.table(|entry| archive(entry, depth)));
    let roots = fields.need("roots", |c| c.table(root));
    let sources = fields.need("sources", |c| c.table(source));
    let kernel = fields.need("kernel", |c| kernel(c, depth));
    let userland = fields.need("userland", |c| userland(c, depth));
    let firmware = fields.need("firmware", firmware);
    let stub = fields.need("stub", stub);
    let network = fields.need("network", network);
    let models = fields.or("models", Vec::new(), |c| model::list(c, depth));
    let attestation = fields.need("attestation", |c| c.choice(Attestation::WORDS));
    let auth = fields.may("auth", auth::read);
    let profiles = fields.or("profiles", Vec::new(), |c| c.unique_list(|p| p.id.to_string(), profile::read));
    schema?;
    let spec = Spec {
        sha256,
        image: image?,
        archives: archives?,
        roots: roots?,
        sources: sources?,
        kernel: kernel?,
        userland: userland?,
        firmware: firmware?,
        stub: stub?,
        network: network?,
        models: models?,
        attestation: attestation?,
        auth: auth?,
        profiles: profiles?,
    };
    check_names(&fields, &spec);
    Some(spec)
}

fn schema(cursor: &Cursor<'_>) -> Option<()> {
    match cursor.text()? {
        SCHEMA => Some(()),
        other => cursor.refuse(
            ProblemKind::Schema,
            format!("this is `{}`, and this program reads `{SCHEMA}`", shorten(other)),
            format!("write `schema: {SCHEMA}`, or use the version of sealstone that the spec was written for"),
        ),
    }
}

fn image(cursor: &Cursor<'_>) -> Option<Image> {
    let fields = cursor.fields(&["name", "version", "epoch"])?;
    let (name, version) = (fields.need("name", Cursor::value), fields.need("version", image_version));
    let epoch = fields.need("epoch", |c| c.integer_in(FIRST_EPOCH, u64::from(u32::MAX)));
    Some(Image { name: name?, version: version?, epoch: epoch? })
}

fn image_version(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b)) {
        return Some(text.to_owned());
    }
    cursor.refuse(
        ProblemKind::BadValue,
        format!("`{}` isn't a version", shorten(text)),
        "use letters, digits, `.`, `+` and `-`, beginning with a letter or digit, such as 0.1.0",
    )
}

fn archive(cursor: &Cursor<'_>, depth: usize) -> Option<Archive> {
    let fields = cursor.fields(&["archive", "suite", "components", "keys", "snapshot", "also"])?;
    let repository = fields.or("archive", Repository::Debian, |c| c.choice(Repository::WORDS));
    let suite = fields.need("suite", segment);
    let components = fields.need("components", |c| not_empty(c, c.unique_list(String::clone, segment)?));
    let keys = fields.need("keys", |c| path(c, depth));
    let snapshot = fields.need("snapshot", Cursor::value);
    let also = fields
        .or("also", Vec::new(), |c| c.unique_list(|a: &AlsoSuite| a.suite.clone(), |entry| also(entry, depth, keys.as_ref())));
    Some(Archive {
        repository: repository?,
        suite: suite?,
        components: components?,
        also: also?,
        keys: keys?,
        snapshot: snapshot?,
    })
}

fn also(cursor: &Cursor<'_>, depth: usize, main_keys: Option<&SpecPath>) -> Option<AlsoSuite> {
    let fields = cursor.fields(&["archive", "suite", "keys"])?;
    let repository = fields.or("archive", Repository::Debian, |c| c.choice(Repository::WORDS));
    let (suite, keys) = (fields.need("suite", segment), fields.may("keys", |c| path(c, depth)));
    Some(AlsoSuite { repository: repository?, suite: suite?, keys: keys?.or_else(|| main_keys.cloned())? })
}

/// A suite or a component: one segment of a path in the archive.
fn segment(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    let starts = text.starts_with(|c: char| c.is_ascii_lowercase());
    if starts && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Some(text.to_owned());
    }
    cursor.refuse(
        ProblemKind::BadValue,
        format!("`{}` isn't the name of a suite or component", shorten(text)),
        "use lower-case letters, digits and `-`, such as bookworm or main",
    )
}

fn root(cursor: &Cursor<'_>) -> Option<Root> {
    let fields = cursor.fields(&["archive", "packages", "exclude", "links"])?;
    let names = |c: &Cursor<'_>| c.unique_list(PackageName::to_string, Cursor::value);
    let archive = fields.need("archive", Cursor::value);
    let packages = fields.need("packages", |c| not_empty(c, names(c)?));
    let exclude = fields.or("exclude", Vec::new(), |c| {
        let excluded = names(c)?;
        match excluded.iter().find(|name| packages.as_ref().is_some_and(|list| list.contains(name))) {
            None => Some(excluded),
            Some(name) => {
                c.refuse(ProblemKind::BadValue, format!("`{name}` is also in `packages`"), "keep it in one of the two lists")
            }
        }
    });
    let links = fields.or("links", BTreeMap::new(), |c| c.table(link_target));
    let links = links.and_then(|links| check_links(&fields, links));
    Some(Root { archive: archive?, packages: packages?, exclude: exclude?, links: links? })
}

fn link_target(cursor: &Cursor<'_>) -> Option<String> {
    let text = cursor.text()?;
    if !text.is_empty() && text.len() < 4096 && !text.contains(char::is_control) {
        return Some(text.to_owned());
    }
    cursor.refuse(ProblemKind::BadValue, format!("`{}` can't be a link's target", shorten(text)), "write the target's path")
}

/// Refuses links that point above the root's top.
fn check_links(fields: &Fields<'_>, links: BTreeMap<RootPath, String>) -> Option<BTreeMap<RootPath, String>> {
    let leaves = |(link, target): (&RootPath, &String)| {
        let mut depth = if target.starts_with('/') { 0 } else { link.as_str().matches('/').count() };
        target.split('/').any(|segment| match segment {
            "" | "." => false,
            ".." => depth.checked_sub(1).map(|up| depth = up).is_none(),
            _ => {
                depth += 1;
                false
            }
        })
    };
    match links.iter().find(|entry| leaves(*entry)) {
        None => Some(links),
        Some((link, target)) => fields.need("links", |c| {
            c.refuse(
                ProblemKind::BadValue,
                format!("the link `{link}` has the target `{}`, which is above the root's top", shorten(target)),
                "use fewer `..`",
            )
        }),
    }
}

fn source(cursor: &Cursor<'_>) -> Option<Source> {
    let fields = cursor.fields(&["archive", "package", "source", "version"])?;
    let archive = fields.need("archive", Cursor::value);
    let version = fields.may("version", Cursor::value);
    let package = fields.may("package", |c| c.value().map(SourceOrigin::Package));
    let source = fields.may("source", |c| c.value().map(SourceOrigin::Source));
    let origin = match (package?, source?) {
        (Some(origin), None) | (None, Some(origin)) => origin,
        (both, _) => {
            return cursor.refuse(
                ProblemKind::MissingField,
                if both.is_some() { "both `package` and `source` are given" } else { "neither `package` nor `source` is given" },
                "write `package:` for a .deb that holds source, `source:` for a source package",
            );
        }
    };
    Some(Source { archive: archive?, origin, version: version? })
}

fn kernel(cursor: &Cursor<'_>, depth: usize) -> Option<Kernel> {
    let fields = cursor.fields(&["source", "patches", "fragments", "resolved", "cmdline"])?;
    let source = fields.need("source", Cursor::value);
    let fragments = fields.need("fragments", |c| not_empty(c, c.unique_list(SpecPath::to_string, |item| path(item, depth))?));
    let patches = fields.or("patches", Vec::new(), |c| c.unique_list(SpecPath::to_string, |item| path(item, depth)));
    let resolved = fields.need("resolved", |c| path(c, depth));
    let cmdline = fields.need("cmdline", cmdline);
    Some(Kernel { source: source?, patches: patches?, fragments: fragments?, resolved: resolved?, cmdline: cmdline? })
}

fn cmdline(cursor: &Cursor<'_>) -> Option<Vec<String>> {
    let words = cursor.list(|item| {
        let text = item.text()?;
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            return Some(text.to_owned());
        }
        item.refuse(
            ProblemKind::BadValue,
            format!("`{}` isn't one word of a command line", shorten(text)),
            "use printable ASCII without spaces and double quotes, one parameter an entry",
        )
    })?;
    if words.join(" ").len() >= CMDLINE_SIZE {
        return cursor.refuse(
            ProblemKind::BadValue,
            format!("the command line is longer than the {} bytes that the kernel keeps", CMDLINE_SIZE - 1),
            "drop parameters, or move them into the kernel's configuration",
        );
    }
    Some(words)
}

fn userland(cursor: &Cursor<'_>, depth: usize) -> Option<Userland> {
    let fields = cursor.fields(&["workspace", "isa"])?;
    let workspace = fields.need("workspace", |c| path(c, depth));
    let isa = fields.need("isa", |c| c.choice(Isa::WORDS));
    Some(Userland { workspace: workspace?, isa: isa? })
}

fn firmware(cursor: &Cursor<'_>) -> Option<Firmware> {
    let fields = cursor.fields(&["source", "platforms"])?;
    let source = fields.need("source", Cursor::value);
    let platforms =
        fields.need("platforms", |c| c.unique_list(FirmwarePlatform::to_string, |item| item.choice(FirmwarePlatform::WORDS)));
    Some(Firmware { source: source?, platforms: platforms? })
}

fn stub(cursor: &Cursor<'_>) -> Option<Stub> {
    Some(Stub { source: cursor.fields(&["source"])?.need("source", Cursor::value)? })
}

fn network(cursor: &Cursor<'_>) -> Option<Network> {
    let fields = cursor.fields(&["address", "port"])?;
    let address = fields.need("address", |c| c.choice(Address::WORDS));
    let port = fields.need("port", |c| c.integer_in(1, 65_535).and_then(|port| u16::try_from(port).ok()));
    Some(Network { address: address?, port: port? })
}

pub(super) fn path(cursor: &Cursor<'_>, depth: usize) -> Option<SpecPath> {
    let path: SpecPath = cursor.value()?;
    if path.climbs() <= depth {
        return Some(path);
    }
    cursor.refuse(
        ProblemKind::BadValue,
        format!("`{path}` leaves the repository"),
        format!("use at most {depth} `..`, and copy what is outside into the repository"),
    )
}

/// Names that have to be defined elsewhere in the spec.
fn check_names(fields: &Fields<'_>, spec: &Spec) {
    let archives: BTreeSet<&Name> = spec.archives.keys().collect();
    let sources: BTreeSet<&Name> = spec.sources.keys().collect();
    let roots: BTreeSet<&Name> = spec.roots.keys().collect();
    for (name, root) in &spec.roots {
        defined(fields, &["roots", name.as_str(), "archive"], &root.archive, &archives, "archives");
    }
    for (name, source) in &spec.sources {
        defined(fields, &["sources", name.as_str(), "archive"], &source.archive, &archives, "archives");
    }
    defined(fields, &["kernel", "source"], &spec.kernel.source, &sources, "sources");
    defined(fields, &["firmware", "source"], &spec.firmware.source, &sources, "sources");
    defined(fields, &["stub", "source"], &spec.stub.source, &sources, "sources");
    let mut profiles = spec.profiles.iter();
    fields.find("profiles").and_then(|list| {
        list.list(|item| {
            if let (Some(profile), Some(at)) = (profiles.next(), item.find("firmware")) {
                check_firmware(&at, &profile.firmware, spec, &roots);
            }
            Some(())
        })
    });
}

fn check_firmware(at: &Cursor<'_>, file: &FirmwareFile, spec: &Spec, roots: &BTreeSet<&Name>) {
    match file {
        FirmwareFile::Built(platform) if !spec.firmware.platforms.contains(platform) => {
            at.refuse::<()>(
                ProblemKind::Dangling,
                format!("`{platform}` isn't built"),
                format!("add `{platform}` to `firmware.platforms`"),
            );
        }
        FirmwareFile::InRoot { root, .. } if !roots.contains(root) => {
            at.refuse::<()>(ProblemKind::Dangling, format!("there is no `{root}` in `roots`"), "define it, or name another root");
        }
        _ => {}
    }
}

fn defined(fields: &Fields<'_>, path: &[&str], name: &Name, known: &BTreeSet<&Name>, table: &str) {
    let Some((first, rest)) = path.split_first() else { return };
    if known.contains(name) {
        return;
    }
    let cursor = rest.iter().try_fold(fields.find(first), |at, key| at.map(|cursor| cursor.find(key)));
    if let Some(cursor) = cursor.flatten() {
        let names: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
        cursor.refuse::<()>(
            ProblemKind::Dangling,
            format!("there is no `{name}` in `{table}`"),
            crate::reader::suggestion(name.as_str(), &names, "defined are"),
        );
    }
}

/// The text that [`Spec::lock_digest`] hashes: one line a fact, in a fixed order. Names and versions contain no spaces.
pub(super) fn lock_part(spec: &Spec) -> String {
    let mut text = String::from("sealstone/lock-part/v1\n");
    for (name, archive) in &spec.archives {
        let Archive { repository, suite, components, keys: _, snapshot, also } = archive;
        line(&mut text, &format!("archive {name} {repository} {suite} {snapshot} {}", components.join(",")));
        for AlsoSuite { repository, suite, keys: _ } in also {
            line(&mut text, &format!("also {name} {repository} {suite}"));
        }
    }
    for (name, Root { archive, packages, exclude, links: _ }) in &spec.roots {
        line(&mut text, &format!("root {name} {archive}"));
        // The order in which an author lists packages decides nothing.
        for package in packages.iter().collect::<BTreeSet<_>>() {
            line(&mut text, &format!("package {name} {package}"));
        }
        for package in exclude.iter().collect::<BTreeSet<_>>() {
            line(&mut text, &format!("exclude {name} {package}"));
        }
    }
    for (name, Source { archive, origin, version }) in &spec.sources {
        let (kind, package) = match origin {
            SourceOrigin::Package(package) => ("package", package),
            SourceOrigin::Source(package) => ("source", package),
        };
        let version = version.as_ref().map_or("highest", |version| version.as_str());
        line(&mut text, &format!("source {name} {archive} {kind} {package} {version}"));
    }
    text
}

fn line(text: &mut String, content: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(text, "{content}");
}
