//! `models:` the models that an image may load, and the packs that it takes for them.

use super::profile::not_empty;
use super::read::path;
use crate::error::ProblemKind;
use crate::reader::{Cursor, Fields};
use crate::value::{ModelName, PackPath, Sha256, SpecPath};

/// One entry of `models:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name that clients ask for.
    pub name: ModelName,
    /// What goes into the pack.
    pub source: ModelSource,
    /// The model file's path inside the pack; of several pieces, the first.
    pub main: PackPath,
    /// Whether the image refuses to start without it.
    pub required: bool,
    /// The pack that it must be. Without it, whatever the source holds when the image is built goes in.
    pub pack: Option<LockedPack>,
}

/// What goes into a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelSource {
    /// `generate:` a model that the builder makes itself. It is the only file of its pack.
    Generated(Generator),
    /// `file:` or `files:` these files, under their own names in the pack's top folder; no two names are the same. Relative
    /// to the spec's folder, or to the folder of models that a build is given.
    Files(Vec<SpecPath>),
    /// `folder:` every file in it, under its path in it. Relative to the same.
    Folder(SpecPath),
}

/// Models that the builder can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Generator {
    /// `tiny`: a few layers of random weights, which say nothing that makes sense, for tests and for a first boot.
    Tiny {
        /// What the weights follow from.
        seed: u64,
    },
}

/// `models[].pack:` which pack it is. What `sealstone pack` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedPack {
    /// The dm-verity root.
    pub root: Sha256,
    /// The dm-verity salt.
    pub salt: Sha256,
    /// Bytes of the pack's data, without the hash tree.
    pub size: u64,
    /// Every time in the pack, in seconds since 1970 UTC.
    pub epoch: u64,
}

/// What a generated model's file is called in its pack.
const GENERATED: &str = "model.gguf";

/// Bytes of a block, the unit in which packs are measured.
const BLOCK: u64 = 4096;

/// The most models that one image takes; `docs/formats/config.md` has the same bound.
const MAX_MODELS: usize = 64;

pub(super) fn list(cursor: &Cursor<'_>, depth: usize) -> Option<Vec<Model>> {
    let models = cursor.unique_list(|model: &Model| model.name.to_string(), |item| read(item, depth))?;
    match models.len() {
        0..=MAX_MODELS => Some(models),
        many => cursor.refuse(
            ProblemKind::BadValue,
            format!("there are {many} models"),
            format!("an image takes at most {MAX_MODELS}; make several images"),
        ),
    }
}

fn read(cursor: &Cursor<'_>, depth: usize) -> Option<Model> {
    let fields = cursor.fields(&["name", "file", "files", "folder", "generate", "main", "required", "pack"])?;
    let name = fields.need("name", Cursor::value);
    let source = source(cursor, &fields, depth);
    let main = fields.may("main", Cursor::value::<PackPath>);
    let required = fields.or("required", true, Cursor::boolean);
    let pack = fields.may("pack", locked);
    let source = source?;
    let main = main_file(cursor, &source, main?)?;
    Some(Model { name: name?, source, main, required: required?, pack: pack? })
}

fn source(cursor: &Cursor<'_>, fields: &Fields<'_>, depth: usize) -> Option<ModelSource> {
    let file = fields.may("file", |c| Some(ModelSource::Files(vec![path(c, depth)?])));
    let files = fields.may("files", |c| {
        let list = c.unique_list(|file: &SpecPath| file.file_name().to_owned(), |item| path(item, depth))?;
        Some(ModelSource::Files(not_empty(c, list)?))
    });
    let folder = fields.may("folder", |c| path(c, depth).map(ModelSource::Folder));
    let generate = fields.may("generate", |c| generator(c).map(ModelSource::Generated));
    let mut given: Vec<ModelSource> = [file?, files?, folder?, generate?].into_iter().flatten().collect();
    match (given.pop(), given.is_empty()) {
        (Some(source), true) => Some(source),
        (one, _) => cursor.refuse(
            ProblemKind::MissingField,
            if one.is_some() { "more than one source is given" } else { "no source is given" },
            "write one of `file:`, `files:`, `folder:` and `generate:`",
        ),
    }
}

fn generator(cursor: &Cursor<'_>) -> Option<Generator> {
    let fields = cursor.fields(&["kind", "seed"])?;
    let kind = fields.need("kind", |c| c.choice(&[("tiny", ())]));
    let seed = fields.need("seed", Cursor::integer);
    kind?;
    Some(Generator::Tiny { seed: seed? })
}

/// The file that the engine opens: as said, or the first of the files. A folder's is never guessed, because a spec has to mean the same
/// where the folder isn't at hand.
fn main_file(cursor: &Cursor<'_>, source: &ModelSource, said: Option<PackPath>) -> Option<PackPath> {
    let names: Vec<&str> = match source {
        ModelSource::Generated(_) => vec![GENERATED],
        ModelSource::Files(files) => files.iter().map(SpecPath::file_name).collect(),
        ModelSource::Folder(_) => Vec::new(),
    };
    match (said, names.first()) {
        (Some(main), None) => Some(main),
        (Some(main), Some(_)) if names.contains(&main.as_str()) => Some(main),
        (Some(main), Some(_)) => cursor.refuse(
            ProblemKind::BadValue,
            format!("`main` is `{main}`, which isn't in the pack"),
            format!("in it are {}; in a pack they have no folder", names.join(", ")),
        ),
        (None, Some(first)) => match first.parse() {
            Ok(main) => Some(main),
            Err(bad) => cursor.refuse(ProblemKind::BadValue, bad.what, format!("rename it: {}", bad.remedy)),
        },
        (None, None) => cursor.refuse(
            ProblemKind::MissingField,
            "which of the folder's files is the model isn't said",
            "add `main:` with its path in the folder; of several pieces, the first",
        ),
    }
}

fn locked(cursor: &Cursor<'_>) -> Option<LockedPack> {
    let fields = cursor.fields(&["root", "salt", "size", "epoch"])?;
    let (root, salt) = (fields.need("root", Cursor::value), fields.need("salt", Cursor::value));
    let size = fields.need("size", |c| {
        let size = c.integer_in(2 * BLOCK, 1 << 44)?;
        match size % BLOCK {
            0 => Some(size),
            _ => c.refuse(
                ProblemKind::BadValue,
                format!("{size} isn't a multiple of {BLOCK}"),
                "copy what `sealstone pack` prints",
            ),
        }
    });
    let epoch = fields.or("epoch", 0, |c| c.integer_in(0, u64::from(u32::MAX)));
    Some(LockedPack { root: root?, salt: salt?, size: size?, epoch: epoch? })
}
