//! `explain --html`: a pin as one page. Nothing in it comes from elsewhere: no script, font, picture or style sheet.

pub(crate) mod diff;
mod picture;

use std::fmt::Write as _;

use ovmf_measure::digest::Digest;
use ovmf_measure::transcript::{Event, Register};
use sealstone_release::pin::{Pin, Profile};

use crate::commands::explain::{firmware, values};
use crate::commands::{coverage, terms};

const STYLE: &str = include_str!("page.css");

/// The page for `profiles` of `pin`.
pub(crate) fn page(pin: &Pin, profiles: &[&Profile]) -> String {
    let image = &pin.contents().image;
    let title = escape(&format!("{} {}", image.name, image.version));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}: what is measured</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         <p>What a machine that runs this image must show in its registers, what each register is made of, and what no \
         register shows. Pin <code>{}</code>.</p>\n",
        pin.id()
    );
    files(&mut out, pin);
    legend(&mut out);
    if profiles.len() > 1 {
        out.push_str("<nav><h2>Platforms</h2><ul>\n");
        for profile in profiles {
            let id = escape(profile.id());
            // Writing to a string can't fail, here and below.
            let _ = writeln!(out, "<li><a href=\"#{id}\">{id}</a></li>");
        }
        out.push_str("</ul></nav>\n");
    }
    for profile in profiles {
        section(&mut out, profile);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn files(out: &mut String, pin: &Pin) {
    let image = &pin.contents().image;
    let _ = writeln!(out, "<h2>Files</h2>\n<dl class=\"files\">");
    let files = [("vmlinuz", image.kernel), ("initrd", image.initrd), ("uki.efi", image.uki), ("disk.raw", image.disk)];
    for (name, file) in files {
        let _ = writeln!(out, "<dt>{name} <small>{} bytes</small></dt><dd><code>{}</code></dd>", file.size, file.sha256);
    }
    let _ = writeln!(out, "<dt>cmdline</dt><dd><code>{}</code></dd>\n</dl>", escape(&image.cmdline));
}

fn legend(out: &mut String) {
    out.push_str("<p class=\"legend\">Decided by ");
    for by in ["image", "firmware", "platform", "host"] {
        let _ = write!(out, "<span class=\"by {by}\">{by}</span> ");
    }
    out.push_str("</p>\n");
}

fn section(out: &mut String, profile: &Profile) {
    let id = escape(profile.id());
    let _ =
        writeln!(out, "<section id=\"{id}\">\n<h2>{id}</h2>\n<p>{}, firmware {}</p>", profile.tee(), escape(&firmware(profile)));
    out.push_str(&picture::of(profile));
    out.push_str("<h3>Registers</h3>\n");
    for (register, values) in values(profile) {
        register_terms(out, profile, register, &values);
    }
    if let Profile::Snp(snp) = profile
        && !snp.launch.by_vcpus.is_empty()
    {
        out.push_str("<h3>Launch digest by number of vCPUs</h3>\n<dl class=\"files\">\n");
        for (count, digest) in &snp.launch.by_vcpus {
            let _ = writeln!(out, "<dt>{count}</dt><dd><code>{digest}</code></dd>");
        }
        out.push_str("</dl>\n");
    }
    out.push_str("<h3>What each file is measured into</h3>\n<dl class=\"files\">\n");
    for (file, registers) in coverage::measured(profile) {
        let _ = writeln!(out, "<dt>{}</dt><dd>{}</dd>", escape(&file), registers.join(", "));
    }
    out.push_str("</dl>\n<h3>Not covered</h3>\n<ul class=\"open\">\n");
    for sentence in coverage::not_covered(profile) {
        let _ = writeln!(out, "<li>{}</li>", escape(&sentence));
    }
    out.push_str("</ul>\n</section>\n");
}

fn register_terms(out: &mut String, profile: &Profile, register: Register, values: &[Digest]) {
    let events: Vec<&Event> = profile.events().iter().filter(|event| event.register == register).collect();
    let plural = if events.len() == 1 { "" } else { "s" };
    let _ = write!(out, "<details open><summary><b>{register}</b> <small>{} event{plural}</small>", events.len());
    let with = if matches!(profile, Profile::Snp(_)) { " <small>with two vCPUs</small>" } else { "" };
    for (index, value) in values.iter().enumerate() {
        let or = if index == 0 { "" } else { "or " };
        let _ = write!(out, "<br>{or}<code>{value}</code>{with}");
    }
    out.push_str("</summary>\n<ol>\n");
    for event in events {
        let by = terms::word(&event.controlled_by);
        let size = event.size.map(|size| format!(", {size} bytes")).unwrap_or_default();
        let _ = write!(
            out,
            "<li class=\"{by}\"><span class=\"by {by}\">{by}</span> <b>{}</b> {}<br><code>{}</code><br>{} <small>from {}{size}</small>",
            escape(&terms::kind(event.kind)),
            escape(&terms::op(&event.op)),
            event.digest,
            escape(&event.source.how),
            terms::input(event.source.input),
        );
        for other in &event.or {
            let _ = write!(out, "<br>or <code>{}</code><br>when {}", other.digest, escape(&other.when));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ol>\n</details>\n");
}

/// Text as HTML or SVG has it, in elements and quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
        assert_eq!(escape("console=ttyS0"), "console=ttyS0");
    }
}
