//! The page's files, as a pure function of the module and of what is written by hand in `web/`.

use data_encoding::BASE64;
use sealstone_spec::Sha256;

use crate::content::Contents;

/// What the page is put together from.
pub(super) struct Parts<'a> {
    /// The WebAssembly module.
    pub(super) module: &'a [u8],
    /// The module's JavaScript interface, an ES module.
    pub(super) glue: &'a str,
    /// Its types.
    pub(super) types: &'a str,
    /// The page's markup, with [`POLICY`], [`STYLE`], [`SCRIPT`] and [`MODULE`] in it.
    pub(super) markup: &'a str,
    /// Its style sheet.
    pub(super) style: &'a str,
    /// Its script, which uses what `glue` exports.
    pub(super) script: &'a str,
}

/// Where the content security policy goes.
const POLICY: &str = "{{policy}}";
/// Where the style sheet goes.
const STYLE: &str = "{{style}}";
/// Where the scripts go.
const SCRIPT: &str = "{{script}}";
/// Where the module goes, in base64.
const MODULE: &str = "{{module}}";

/// The module, its interface and types for programs, and the page that holds all of it for people.
///
/// # Errors
/// A sentence, if a part can't be put into HTML as it is.
pub(super) fn files(parts: &Parts<'_>) -> Result<Contents, String> {
    let page = page(parts)?;
    let files = [
        ("sealstone-verify.wasm", parts.module),
        ("sealstone-verify.js", parts.glue.as_bytes()),
        ("sealstone-verify.d.ts", parts.types.as_bytes()),
        ("index.html", page.as_bytes()),
    ];
    Ok(files.into_iter().map(|(name, content)| (name.to_string(), content.to_vec().into())).collect())
}

/// One file that works from a disk: everything inside, and nothing else allowed.
fn page(parts: &Parts<'_>) -> Result<String, String> {
    let script = format!("\n{}\n{}", parts.glue, parts.script);
    for (what, text, end) in [("the scripts", script.as_str(), "</script"), ("the style sheet", parts.style, "</style")] {
        if text.to_ascii_lowercase().contains(end) || text.contains("<!--") {
            return Err(format!("{what} of the page hold {end:?} or \"<!--\", which would end them early"));
        }
    }
    let hash = |text: &str| BASE64.encode(Sha256::of(text.as_bytes()).as_bytes());
    // Scripts and styles by their digests alone, WebAssembly, and nothing that could reach a network.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}' 'wasm-unsafe-eval'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(&script),
        hash(parts.style)
    );
    let module = BASE64.encode(parts.module);
    let mut page = String::new();
    let mut rest = parts.markup;
    for (place, text) in [(POLICY, &policy), (STYLE, &parts.style.to_string()), (MODULE, &module), (SCRIPT, &script)] {
        let (before, after) =
            rest.split_once(place).ok_or_else(|| format!("the page's markup lacks {place}, or has it too early"))?;
        page.push_str(before);
        page.push_str(text);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts<'static> {
        let markup = "<meta content=\"{{policy}}\"><style>{{style}}</style>{{module}}<script>{{script}}</script>";
        Parts { module: b"\0asm", glue: "export const a = 1;", types: "", markup, style: "p{}", script: "a;" }
    }

    /// By `printf '\nexport const a = 1;\na;' | openssl dgst -sha256 -binary | base64`, and of `p{}` likewise.
    #[test]
    fn the_policy_names_what_is_in_the_page() {
        let page = page(&parts()).unwrap();
        assert!(page.contains("<script>\nexport const a = 1;\na;</script>"), "{page}");
        assert!(page.contains("script-src 'sha256-iyJowsOsYAh0/JzQCuis325J/rkLCSkcHmoNmbnojPg=' 'wasm-unsafe-eval'"), "{page}");
        assert!(page.contains("style-src 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='"), "{page}");
        assert!(page.contains("AGFzbQ=="));
    }

    #[test]
    fn what_would_break_out_is_refused() {
        assert!(page(&Parts { script: "'</Script>'", ..parts() }).is_err());
        assert!(page(&Parts { script: "'<!--'", ..parts() }).is_err());
        assert!(page(&Parts { style: "</style>", ..parts() }).is_err());
        assert!(page(&Parts { markup: "{{style}}{{policy}}", ..parts() }).is_err());
    }
}
