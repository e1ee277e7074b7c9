//! Which packs a spec's models give, with files that are there, changed, or absent.

use super::*;
use crate::progress::Silent;

const EXAMPLE: &str = include_str!("../../../../spec/tests/example.yaml");

struct Bench {
    tmp: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let store = Store::open(&tmp.path().join("store")).unwrap();
        Bench { tmp, store }
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.tmp.path().join(name), content).unwrap();
    }

    fn resolve(&self, models: &str, locked: bool) -> Result<Packs, PipelineError> {
        let spec = self.tmp.path().join("spec.yaml");
        fs::write(&spec, EXAMPLE.replace("models: []", &format!("models: [{models}]"))).unwrap();
        let project = Project::load(&spec).unwrap();
        resolve(&project, &self.store, &Lookup { folder: None, locked }, &Silent)
    }

    fn error(&self, models: &str, locked: bool) -> String {
        self.resolve(models, locked).map(drop).unwrap_err().to_string()
    }
}

fn locked(model: &ModelPack) -> String {
    format!("pack: {{root: {}, salt: {}, size: {}}}", model.root, model.salt, model.size)
}

#[test]
fn a_locked_model_is_known_by_its_root_with_or_without_its_files() {
    let bench = Bench::new();
    bench.put("m.gguf", b"weights");
    let entry = "name: m, file: m.gguf, required: false";
    let open = bench.resolve(&format!("{{{entry}}}"), false).unwrap();
    let [model] = open.models.as_slice() else { panic!("one model") };
    assert_eq!((model.name.as_str(), model.file.as_str(), model.required), ("m", "m.gguf", false));
    let large = &open.files["packs/m.pack"];
    let found = super::super::check::check(&large.path, Some(model.root.parse().unwrap()), &|_| {}).unwrap();
    assert_eq!((found.size, found.bytes), (model.size, large.size));
    assert_eq!(whole_bytes(model.size), Some(large.size));
    assert!(bench.error(&format!("{{{entry}}}"), true).contains("--locked takes nothing on trust"));

    let spec = format!("{{{entry}, {}}}", locked(model));
    let same = |packs: &Packs| (packs.models.clone(), packs.files.clone()) == (open.models.clone(), open.files.clone());
    assert!(same(&bench.resolve(&spec, true).unwrap()));
    // The store has the pack of that root, so that nothing else matters.
    bench.put("m.gguf", b"other weights");
    assert!(same(&bench.resolve(&spec, true).unwrap()));
    fs::remove_file(bench.tmp.path().join("m.gguf")).unwrap();
    assert!(same(&bench.resolve(&spec, true).unwrap()));

    // Another store: without files the image is the same, and with other files nothing is built.
    let other = Bench::new();
    let without = other.resolve(&spec, true).unwrap();
    assert!(without.files.is_empty() && without.models == open.models);
    other.put("m.gguf", b"other weights");
    let error = other.error(&spec, true);
    assert!(error.contains(&model.root) && error.contains("bring the locked files"), "{error}");
    other.put("m.gguf", b"weights");
    assert_eq!(other.resolve(&spec, true).unwrap().models, open.models);
}

#[test]
fn a_pack_that_was_written_to_is_made_again() {
    let bench = Bench::new();
    bench.put("m.gguf", b"weights");
    let first = bench.resolve("{name: m, file: m.gguf}", false).unwrap();
    let path = &first.files["packs/m.pack"].path;
    let good = fs::read(path).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut bad = good.clone();
    bad[5000] ^= 1;
    fs::write(path, &bad).unwrap();
    let spec = format!("{{name: m, file: m.gguf, {}}}", locked(&first.models[0]));
    let again = bench.resolve(&spec, true).unwrap();
    assert!(fs::read(&again.files["packs/m.pack"].path).unwrap() == good);
}

#[test]
fn models_that_are_not_what_the_spec_says() {
    let bench = Bench::new();
    assert!(bench.error("{name: m, file: m.gguf}", false).contains("its files are not here"));
    fs::create_dir(bench.tmp.path().join("f")).unwrap();
    bench.put("f/a.gguf", b"1");
    assert!(bench.error("{name: m, folder: f, main: b.gguf}", false).contains("no file `b.gguf` goes into its pack"));
    assert_eq!(bench.resolve("{name: m, folder: f, main: a.gguf}", false).unwrap().models[0].file, "a.gguf");
    bench.put("one", b"1");
    let error = bench.error("{name: m, files: [one, two]}", false);
    assert!(error.contains("two"), "a piece is missing: {error}");
}

#[test]
fn a_generated_model_needs_no_lock() {
    let bench = Bench::new();
    let one = bench.resolve("{name: tiny, generate: {kind: tiny, seed: 1}}", true).unwrap();
    let again = Bench::new().resolve("{name: tiny, generate: {kind: tiny, seed: 1}}", true).unwrap();
    assert_eq!(one.models, again.models);
    let other = bench.resolve("{name: tiny, generate: {kind: tiny, seed: 2}}", true).unwrap();
    assert_ne!(one.models[0].root, other.models[0].root);
}
