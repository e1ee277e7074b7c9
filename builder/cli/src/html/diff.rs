//! `diff --html`: a comparison as one page.

use std::fmt::Write as _;

use sealstone_compare::places::Place;
use sealstone_compare::report::Report;

use super::{STYLE, escape};

/// The page for `report` on `a` and `b`.
pub(crate) fn page(report: &Report, a: &str, b: &str) -> String {
    let title = escape(&format!("{a} → {b}"));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: what differs</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>What differs</h1>\n<p><code>{title}</code></p>\n"
    );
    for sentence in &report.sentences {
        // Writing to a string can't fail, here and below.
        let _ = writeln!(out, "<p><b>{}</b></p>", escape(sentence));
    }
    inputs(&mut out, report);
    files(&mut out, report);
    registers(&mut out, report);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn inputs(out: &mut String, report: &Report) {
    if report.inputs.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Inputs</h2>\n<dl class=\"files\">\n");
    for change in &report.inputs {
        let steps: Vec<&str> = change.used_by.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "<dt>{} <small>{}</small></dt><dd><code>{}</code> → <code>{}</code></dd>",
            escape(&change.name),
            // A package of the build root goes into everything; the list would only be long.
            if steps.len() > 3 { "every action".to_owned() } else { escape(&steps.join(", ")) },
            value(change.before.as_deref()),
            value(change.after.as_deref()),
        );
    }
    out.push_str("</dl>\n</section>\n");
}

fn files(out: &mut String, report: &Report) {
    if report.artefacts.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Files</h2>\n");
    for artefact in &report.artefacts {
        let because: Vec<&str> = artefact.because.iter().map(String::as_str).collect();
        let note = match (artefact.document, because.is_empty()) {
            (true, _) => " <small>a document about the image</small>".to_owned(),
            (_, true) => String::new(),
            (_, false) => format!(" <small>holds {}</small>", escape(&because.join(", "))),
        };
        // What follows from another file, and documents, are folded.
        let open = if because.is_empty() && !artefact.document { " open" } else { "" };
        let _ = writeln!(
            out,
            "<details{open}><summary><b>{}</b>{note}<br><code>{}</code><br><code>{}</code></summary>",
            escape(&artefact.name),
            value(artefact.before.as_deref()),
            value(artefact.after.as_deref()),
        );
        if artefact.places.is_empty() {
            let why = if because.is_empty() { "Only digests are at hand." } else { "Nothing differs but what stands in it." };
            let _ = writeln!(out, "<p><small>{why}</small></p>");
        } else {
            out.push_str("<ol>\n");
            artefact.places.iter().for_each(|one| place(out, one));
            out.push_str("</ol>\n");
        }
        out.push_str("</details>\n");
    }
    out.push_str("</section>\n");
}

fn place(out: &mut String, place: &Place) {
    let _ = write!(out, "<li>{}", escape(&place.place));
    if place.before.is_some() || place.after.is_some() {
        let (before, after) = (value(place.before.as_deref()), value(place.after.as_deref()));
        let _ = write!(out, "<br><code>{before}</code> → <code>{after}</code>");
    }
    out.push_str("</li>\n");
}

fn registers(out: &mut String, report: &Report) {
    if report.registers.moved.is_empty() {
        return;
    }
    out.push_str("<section>\n<h2>Registers</h2>\n<dl class=\"files\">\n");
    for moved in &report.registers.moved {
        let through: Vec<&str> = moved.through.iter().map(String::as_str).collect();
        let _ = writeln!(
            out,
            "<dt>{} <small>{}</small></dt><dd>through {}</dd>",
            escape(&moved.register),
            escape(&moved.profile),
            escape(&through.join(", "))
        );
    }
    out.push_str("</dl>\n</section>\n");
}

fn value(text: Option<&str>) -> String {
    text.map_or_else(|| "–".to_owned(), escape)
}
