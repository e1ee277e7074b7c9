//! The comparison for people: which input moved which file moved which register.

use std::collections::BTreeSet;

use crate::inputs::{ANY, CMDLINE, CONFIG, Change, Kind};
use crate::registers::{Moved, in_words, list};
use crate::report::Report;
use crate::side::PIN;
use crate::stages::{CONFIG_FILE, PACKS, Step};

/// More inputs than these are counted and not named in a sentence; the document lists all.
const NAMED: usize = 4;

/// What one cause did.
struct Cause {
    subject: String,
    /// Whether the subject takes a plural verb.
    plural: bool,
    /// Files of the output folder that it may have changed by itself.
    files: Vec<&'static str>,
    /// Words behind the files.
    detail: String,
}

/// `published` says whether the pins differ only by what a release adds to a build's.
pub(crate) fn of(report: &Report, published: bool) -> Vec<String> {
    if report.equal {
        return vec!["Both are the same.".into()];
    }
    if published && report.artefacts.iter().all(|artefact| artefact.name == PIN) && report.inputs.is_empty() {
        return vec!["The image is the same; the pins differ in when they are valid, or in what they supersede.".into()];
    }
    let causes: Vec<Cause> = from_inputs(&report.inputs).into_iter().chain(report.origins().map(from_origin)).collect();
    let causes: Vec<Cause> = uncaused(report, &causes).into_iter().chain(causes).collect();
    let mut explained = BTreeSet::new();
    let mut sentences: Vec<String> = causes.iter().map(|cause| sentence(cause, report, &mut explained)).collect();
    let unexplained: Vec<&Moved> =
        report.registers.moved.iter().enumerate().filter(|(at, _)| !explained.contains(at)).map(|(_, moved)| moved).collect();
    if !unexplained.is_empty() {
        let words = in_words(&unexplained, &report.registers.counts);
        sentences.push(format!("{} moved, too; what is at hand does not say why.", capital(&words)));
    }
    for (ids, what) in [(&report.registers.gone, "first"), (&report.registers.new, "second")] {
        if !ids.is_empty() {
            sentences.push(format!("Only the {what} pin has the {} {}.", plural(ids.len(), "profile"), list(ids)));
        }
    }
    if sentences.is_empty() {
        let names: Vec<String> = report.artefacts.iter().map(|artefact| artefact.name.clone()).collect();
        let verb = if names.len() == 1 { "differs" } else { "differ" };
        sentences.push(format!("{} {verb}, and what is at hand does not say why.", list(&names)));
    }
    match (sentences.as_mut_slice(), unexplained.is_empty()) {
        ([only], true) => *only = format!("{}; nothing else moved.", only.trim_end_matches('.')),
        (_, true) => sentences.push("Nothing else moved.".into()),
        _ => {}
    }
    sentences
}

/// Files that no known cause changed, as far as they aren't made of other files that differ.
fn uncaused(report: &Report, causes: &[Cause]) -> Option<Cause> {
    let unknown = |file: &&&'static str| {
        let artefact = report.artefacts.iter().find(|artefact| artefact.name == ***file);
        artefact.is_some_and(|artefact| artefact.because.is_empty()) && !causes.iter().any(|cause| cause.files.contains(*file))
    };
    let files: Vec<&'static str> = MEASURED.iter().filter(unknown).copied().collect();
    let subject = "Something that is not at hand".to_owned();
    (!files.is_empty()).then(|| Cause { subject, plural: false, files, detail: String::new() })
}

/// Files that registers are made of.
const MEASURED: &[&str] =
    &["vmlinuz", "initrd", "cmdline", "uki.efi", "disk.raw", "firmware/OVMF.amdsev.fd", "firmware/OVMF.inteltdx.fd"];

/// Inputs, grouped by the steps that they go into and by kind.
fn from_inputs(inputs: &[Change]) -> Vec<Cause> {
    let mut groups: Vec<(Kind, &BTreeSet<String>, Vec<&Change>)> = Vec::new();
    for change in inputs {
        match groups.iter_mut().find(|(kind, used_by, _)| *kind == change.kind && **used_by == change.used_by) {
            Some((_, _, members)) => members.push(change),
            None => groups.push((change.kind, &change.used_by, vec![change])),
        }
    }
    groups.into_iter().map(|(kind, used_by, members)| cause(kind, used_by, &members)).collect()
}

fn cause(kind: Kind, used_by: &BTreeSet<String>, members: &[&Change]) -> Cause {
    let files = used_by.iter().flat_map(|step| made_by(step)).copied().collect();
    let (subject, plural) = subject(kind, members);
    Cause { subject, plural, files, detail: String::new() }
}

/// Files of the output folder whose bytes a step decides directly.
fn made_by(step: &str) -> &'static [&'static str] {
    match step {
        "kernel" => &["vmlinuz"],
        "firmware-amdsev" => &["firmware/OVMF.amdsev.fd"],
        "firmware-inteltdx" => &["firmware/OVMF.inteltdx.fd"],
        "userland" => &["initrd"],
        "uki-stub" => &["uki.efi"],
        CMDLINE => &["cmdline"],
        CONFIG => &["initrd"],
        "assembly" => &["initrd", "uki.efi", "disk.raw"],
        ANY => MEASURED,
        _ => &[],
    }
}

fn subject(kind: Kind, members: &[&Change]) -> (String, bool) {
    let named = |what: &str| -> (String, bool) {
        if members.len() > NAMED {
            return (format!("{} {}", members.len(), plural(members.len(), what)), true);
        }
        let each: Vec<String> = members.iter().map(|change| change_in_words(change)).collect();
        let what = if what.is_empty() { String::new() } else { format!("{} ", plural(members.len(), what)) };
        (capital(&format!("{what}{}", list(&each))), members.len() > 1)
    };
    match kind {
        Kind::Source => {
            let each: Vec<String> = members.iter().map(|change| change_in_words(change)).collect();
            (capital(&list(&each)), members.len() > 1)
        }
        Kind::KernelOption => named("kernel option"),
        Kind::Package => named("package"),
        Kind::Crate => named("crate"),
        Kind::File => named(""),
        Kind::Recipe => named("recipe"),
        Kind::Cmdline => {
            let words: Vec<String> = members.iter().map(|change| word_in_words(change)).collect();
            (format!("The command line ({})", words.join(", ")), false)
        }
        Kind::Setting => named("setting"),
        Kind::Spec => {
            (format!("Another {}", list(&members.iter().map(|c| c.name.clone()).collect::<Vec<_>>())), members.len() > 1)
        }
    }
}

fn word_in_words(change: &Change) -> String {
    match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{before} → {after}"),
        (Some(before), None) => format!("without {before}"),
        (None, Some(after)) => format!("with {after}"),
        (None, None) => change.name.clone(),
    }
}

fn change_in_words(change: &Change) -> String {
    let name = match (change.kind, change.name.as_str()) {
        (Kind::Source, "linux") => "kernel",
        (_, name) => name,
    };
    let short =
        |text: &String| text.split_once('-').filter(|_| change.kind == Kind::Source).map_or(text.clone(), |(v, _)| v.to_owned());
    match (&change.before, &change.after) {
        (Some(before), Some(after)) if change.kind == Kind::KernelOption || change.kind == Kind::Setting => {
            format!("{name} ({} → {})", brief(before), brief(after))
        }
        (Some(_), Some(_)) if matches!(change.kind, Kind::File | Kind::Recipe) => name.to_owned(),
        (Some(before), Some(after)) if before.len() == 64 && after.len() == 64 => {
            format!("{name} (the same version, other bytes)")
        }
        (Some(before), Some(after)) => {
            // The upstream version says it, unless only the package's revision moved.
            let (from, to) = (short(before), short(after));
            if from == to { format!("{name} {before} → {after}") } else { format!("{name} {from} → {to}") }
        }
        (Some(_), None) => format!("{name} (gone)"),
        (None, Some(_)) => format!("{name} (new)"),
        (None, None) => name.to_owned(),
    }
}

fn from_origin(origin: &Step) -> Cause {
    let (subject, files): (String, Vec<&'static str>) = match origin.stage.as_str() {
        "assembly" => (format!("Assembling {} from equal inputs", origin.output), assembled(&origin.output)),
        // Salt and root stand in the configuration, and this in the initramfs.
        PACKS if origin.output == CONFIG_FILE => ("Packing the models, by an equal spec,".to_owned(), made_by(CONFIG).to_vec()),
        PACKS => (format!("Packing {} from equal files", origin.output), made_by(CONFIG).to_vec()),
        action => (format!("Action {action}, with equal inputs,"), made_by(action).to_vec()),
    };
    let place = origin.places.first().map(|place| {
        let value = |text: &Option<String>| text.as_deref().map_or_else(|| "nothing".into(), brief);
        let more = match origin.places.len() {
            1 => String::new(),
            n => format!(" and {} more", plural_with(n - 1, "place")),
        };
        format!(" at {} ({} → {}{more})", place.place, value(&place.before), value(&place.after))
    });
    Cause { subject, plural: false, files, detail: place.unwrap_or_default() }
}

/// The file of the image that assembling something decides.
fn assembled(output: &str) -> Vec<&'static str> {
    let file = if output == CONFIG_FILE { "initrd" } else { output };
    MEASURED.iter().copied().filter(|measured| *measured == file).collect()
}

fn sentence(cause: &Cause, report: &Report, explained: &mut BTreeSet<usize>) -> String {
    let differing = |file: &str| report.artefacts.iter().any(|artefact| artefact.name == file);
    let changed: Vec<&str> = cause.files.iter().copied().filter(|file| differing(file)).collect();
    let origin =
        cause.subject.starts_with("Action") || cause.subject.starts_with("Assembling") || cause.subject.starts_with("Packing");
    if changed.is_empty() && !origin {
        let verb = if cause.plural { "change" } else { "changes" };
        return format!("{} {verb} no file of the image.", cause.subject);
    }
    // What is made of a changed file changes with it, and so may whatever measures that.
    let mut reach: BTreeSet<&str> = changed.iter().copied().collect();
    for (file, via) in [("uki.efi", &["vmlinuz", "initrd", "cmdline"][..]), ("disk.raw", &["uki.efi"][..])] {
        if via.iter().any(|part| reach.contains(part)) && differing(file) {
            reach.insert(file);
        }
    }
    let moved: Vec<(usize, &Moved)> = report
        .registers
        .moved
        .iter()
        .enumerate()
        .filter(|(_, moved)| moved.through.iter().any(|file| reach.contains(file.as_str())))
        .collect();
    explained.extend(moved.iter().map(|(at, _)| *at));
    let registers = in_words(&moved.iter().map(|(_, moved)| *moved).collect::<Vec<_>>(), &report.registers.counts);
    let hence = match registers.is_empty() {
        true => ", which no register shows".to_owned(),
        false => format!(", hence {registers}"),
    };
    if origin {
        return format!("{} gives other bytes{}{hence}.", cause.subject, cause.detail);
    }
    let verb = if cause.plural { "change" } else { "changes" };
    let files: Vec<String> = changed.iter().map(ToString::to_string).collect();
    format!("{} {verb} {}{hence}.", cause.subject, list(&files))
}

/// Digests and the like by their beginning; the document has them whole.
fn brief(text: &str) -> String {
    let hex = text.trim_matches('"');
    match hex.len() > 24 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => format!("{}…", hex.chars().take(12).collect::<String>()),
        false => text.to_owned(),
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

fn plural_with(count: usize, noun: &str) -> String {
    format!("{count} {}", plural(count, noun))
}

fn capital(text: &str) -> String {
    // A path or an option keeps its letters.
    let word = text.split(' ').next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if word.chars().all(|c| c.is_ascii_lowercase()) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        _ => text.to_owned(),
    }
}
