//! The documents about an image: bill of materials, provenance, source archive.

use std::collections::BTreeMap;

use sealstone_assemble as assemble;
use sealstone_bom::provenance::{self, ASSEMBLY, Provenance, Resource, Role};
use sealstone_bom::sbom::{self, Artefact};
use sealstone_bom::{purl, source as archive};
use sealstone_spec::{LockedSource, Sha256, UtcTime};

use crate::action::Outcome;
use crate::build::Made;
use crate::content::Contents;
use crate::error::PipelineError;
use crate::project::{Locked, Project};
use crate::recipes::{FIRMWARE, KERNEL, STUB, USERLAND};
use crate::roots::BUILD_ROOT;
use crate::source::{self, Sources};

/// The version of the program that builds.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What linkers take from packages of the build root, by what they link. The compiler's driver and the recipes decide this;
/// everything else of the root only runs.
///
/// Programs are linked statically with glibc, the compiler's start files and unwinder (libgcc), and Rust's standard library; the
/// stub with gnu-efi's start code and library. Kernel and firmware take nothing.
const PROGRAM_LIBRARIES: &[&str] = &["libc6-dev", "libgcc-12-dev", "libstd-rust-web-dev"];
const ENGINE_LIBRARIES: &[&str] = &["libstdc++-12-dev"];
const STUB_LIBRARIES: &[&str] = &["gnu-efi"];

/// The stub's name in the bill of materials; it stands in no file of its own.
const STUB_NAME: &str = "linuxx64.efi.stub";

/// Puts `source.tar`, `sbom.cdx.json` and `provenance.json` beside the other files of the output folder.
///
/// # Errors
/// [`PipelineError::Bom`] when something is in the image that nobody accounts for.
pub(crate) fn add(project: &Project, locked: &Locked, made: &Made<'_>, files: &mut Contents) -> Result<(), PipelineError> {
    let sources = source::read(project, locked)?;
    let mut carried = sources.files.clone();
    carried.extend(project.recipes.files());
    let tar = archive::write(&carried, project.spec.image.epoch)?;
    files.insert(archive::FILE.into(), tar.into());
    let bill = bill(project, locked, made, files)?;
    files.insert(sbom::FILE.into(), bill.into_bytes().into());
    let statement = statement(project, locked, made.stages(), &sources, files);
    files.insert(provenance::FILE.into(), statement.to_text().into_bytes().into());
    Ok(())
}

fn bill(project: &Project, locked: &Locked, made: &Made<'_>, files: &Contents) -> Result<String, PipelineError> {
    let spec = &project.spec;
    let missing =
        |name: &str| PipelineError::Output { action: "bill of materials".into(), problem: format!("{name} was not made") };
    let file = |name: &str| files.get(name).ok_or_else(|| missing(name));
    let patches = spec.kernel.patches.iter().map(|path| Ok((path.file_name(), project.read(path.as_str())?)));
    let patches: Vec<(&str, Vec<u8>)> = patches.collect::<Result<_, PipelineError>>()?;
    let stub = made.bytes(STUB, STUB_NAME)?;
    let plain = |name, kind, sha256| Artefact { name, sha256, kind, source: None, patches: Vec::new(), holds: Vec::new() };
    let mut artefacts = vec![
        Artefact {
            source: Some(spec.kernel.source.as_str()),
            patches: patches.iter().map(|(name, text)| (*name, text.as_slice())).collect(),
            ..plain("vmlinuz", "operating-system", file("vmlinuz")?.sha256())
        },
        Artefact { source: Some(spec.stub.source.as_str()), ..plain(STUB_NAME, "firmware", Sha256::of(&stub)) },
        plain("cmdline", "file", file("cmdline")?.sha256()),
        Artefact {
            holds: vec!["vmlinuz", sbom::INITRD, "cmdline", STUB_NAME],
            ..plain("uki.efi", "operating-system", file("uki.efi")?.sha256())
        },
        Artefact { holds: vec!["uki.efi"], ..plain("disk.raw", "file", file("disk.raw")?.sha256()) },
    ];
    for (name, content) in files.iter().filter(|(name, _)| name.starts_with("firmware/")) {
        artefacts.push(Artefact { source: Some(spec.firmware.source.as_str()), ..plain(name, "firmware", content.sha256()) });
    }
    let mut linked = BTreeMap::from([(STUB_NAME.to_string(), STUB_LIBRARIES.to_vec())]);
    linked.insert("init".into(), PROGRAM_LIBRARIES.to_vec());
    linked.insert("engine".into(), [PROGRAM_LIBRARIES, ENGINE_LIBRARIES].concat());
    let timestamp = UtcTime::from_unix(spec.image.epoch).map(|time| time.to_string()).unwrap_or_default();
    let inputs = sbom::Inputs {
        name: spec.image.name.as_str(),
        version: &spec.image.version,
        timestamp: &timestamp,
        tool_version: VERSION,
        lock: &locked.lock,
        initrd: file(sbom::INITRD)?,
        initrd_sha256: file(sbom::INITRD)?.sha256(),
        written: BTreeMap::from([(assemble::config::PATH, "written from the spec")]),
        artefacts,
        linked,
    };
    Ok(sbom::write(&inputs)?)
}

fn statement(project: &Project, locked: &Locked, stages: &[Outcome], sources: &Sources, files: &Contents) -> Provenance {
    let subject = files.iter().map(|(name, content)| Resource::with(name, content.sha256())).collect();
    let mut inputs = inputs_of_lock(project, locked, stages);
    inputs.extend(sources.files.iter().map(|(path, content)| {
        let used_by = sources.used_by.get(path).copied().unwrap_or(ASSEMBLY);
        Resource::of(format!("file/{path}"), content).used(Role::File, [used_by])
    }));
    inputs.extend(project.recipes.iter().map(|(recipe, script)| {
        let users = stages.iter().map(|stage| stage.name.as_str()).filter(|name| recipe_of(name) == recipe);
        Resource::of(format!("recipe/{recipe}"), script.as_bytes()).used(Role::Recipe, users)
    }));
    let byproducts = stages.iter().flat_map(|stage| {
        stage.outputs.iter().map(|(name, output)| {
            let mut made = Resource::with(format!("{}/{name}", stage.name), output.sha256);
            made.annotations.key = Some(stage.key);
            made
        })
    });
    Provenance::new(sources.spec.clone(), VERSION, subject, inputs, byproducts.collect())
}

/// Packages of the build root, the files of the sources and the crates: of the lock what this build uses.
fn inputs_of_lock(project: &Project, locked: &Locked, stages: &[Outcome]) -> Vec<Resource> {
    let (spec, lock) = (&project.spec, &locked.lock);
    let suite = |archive: &str| lock.archive(archive).map_or(archive, |archive| archive.suite.as_str()).to_owned();
    let everyone: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    let root = spec.roots.keys().find(|name| name.as_str() == BUILD_ROOT).and_then(|name| lock.root(name)).unwrap_or_default();
    let mut all: Vec<Resource> = root
        .into_iter()
        .map(|file| {
            let resource = Resource::with(format!("package/{}", file.id()), file.sha256);
            let uri = Some(purl::of_package(file, &suite(&file.archive)));
            Resource { uri, ..resource }.used(Role::Package, everyone.iter().copied())
        })
        .collect();
    for source in &lock.sources {
        let users: Vec<&str> = everyone.iter().copied().filter(|action| uses(project, action, source)).collect();
        all.extend(source.files.iter().filter(|_| !users.is_empty()).map(|file| {
            let resource = Resource::with(format!("source/{}/{}", source.name, file.id()), file.sha256);
            let uri = Some(purl::of_source(source, &suite(&source.archive)));
            Resource { uri, ..resource }.used(Role::Source, users.iter().copied())
        }));
    }
    all.extend(lock.crates.iter().map(|krate| {
        let resource = Resource::with(format!("crate/{} {}", krate.name, krate.version), krate.sha256);
        Resource { uri: Some(purl::of_crate(&krate.name, &krate.version)), ..resource }.used(Role::Crate, [USERLAND])
    }));
    all
}

fn uses(project: &Project, action: &str, source: &LockedSource) -> bool {
    let spec = &project.spec;
    let name = match recipe_of(action) {
        KERNEL => &spec.kernel.source,
        STUB => &spec.stub.source,
        FIRMWARE => &spec.firmware.source,
        _ => return false,
    };
    *name == source.name
}

/// The recipe of an action: the firmwares of all platforms share one.
fn recipe_of(action: &str) -> &str {
    if action.starts_with(FIRMWARE) { FIRMWARE } else { action }
}
