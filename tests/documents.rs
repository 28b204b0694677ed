//! Parts of documents that a run generates: between two markers stands what the last accepted run saw, and a run that sees
//! something else fails until somebody accepts it.

use std::path::Path;

/// A document has kilobytes; the bound is for a mistake.
const MOST: u64 = 4 << 20;

/// Compares `text` with what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a document of this checkout, and
/// puts it there instead if `accept` is set.
///
/// # Errors
/// A sentence with the first line that differs, or why the document cannot be used.
pub fn generated(document: &str, name: &str, text: &str, accept: bool) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    let bytes = zoo_core::fs::read_bounded(&path, MOST).map_err(|e| e.to_string())?;
    let before = String::from_utf8(bytes).map_err(|e| format!("{document}: {e}"))?;
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let parts = before
        .split_once(&begin)
        .and_then(|(head, rest)| rest.split_once(&end).map(|(found, tail)| (head, found, tail)));
    let Some((head, found, tail)) = parts else {
        return Err(format!("{document} has no part between {} and {end}", begin.trim()));
    };
    if found == text {
        return Ok(());
    }
    if accept {
        let after = format!("{head}{begin}{text}{end}{tail}");
        return zoo_core::fs::write_atomic(&path, after.as_bytes(), false).map_err(|e| e.to_string());
    }
    let longest = found.lines().count().max(text.lines().count());
    let line = |text: &'_ str, n| text.lines().nth(n).unwrap_or("(nothing)").to_owned();
    let first = (0..longest).map(|n| (line(found, n), line(text, n))).find(|(a, b)| a != b);
    let (written, seen) = first.unwrap_or_default();
    Err(format!(
        "{document} is out of date; set ZOO_UPDATE=1 to write it anew\n  written: {written}\n  seen:    {seen}"
    ))
}

/// Whether generated parts are to be accepted (`ZOO_UPDATE=1`).
pub fn accepting() -> bool {
    #[expect(clippy::disallowed_methods, reason = "a switch for whoever runs the tests, not for the library")]
    let set = std::env::var_os("ZOO_UPDATE");
    set.is_some_and(|value| value != "0")
}
