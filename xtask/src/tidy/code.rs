//! Rust text without what is not code, so that rules about code can search for words.
//!
//! This is no parser: it knows comments, strings and characters, and replaces them with spaces. Lines and columns stay.

/// The text with comments, strings and characters blanked.
pub(super) fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(next) = rest.chars().next() {
        let length = skipped(rest, after_word);
        let (piece, later) = rest.split_at(length.unwrap_or(next.len_utf8()));
        match length {
            Some(_) => out.extend(piece.bytes().map(|b| if b == b'\n' { '\n' } else { ' ' })),
            None => out.push_str(piece),
        }
        after_word = length.is_none() && is_word(next);
        rest = later;
    }
    out
}

/// How many bytes at the start are a comment, a string or a character. A prefix such as `r` is no prefix if it ends a word.
fn skipped(text: &str, after_word: bool) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(block_comment(text));
    }
    if text.starts_with('"') {
        return Some(1 + string(text.get(1..)?));
    }
    if text.starts_with('\'') {
        return character(text);
    }
    if after_word {
        return None;
    }
    for prefix in ["r", "br", "cr"] {
        if let Some(length) = text.strip_prefix(prefix).and_then(raw_string) {
            return Some(prefix.len() + length);
        }
    }
    None
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a string's content and its closing quote.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of `#"…"#`, with any number of `#`.
fn raw_string(text: &str) -> Option<usize> {
    let content = text.trim_start_matches('#');
    let hashes = text.len() - content.len();
    let content = content.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

/// Length of a character literal; `None` for the start of a lifetime or a label.
fn character(text: &str) -> Option<usize> {
    let inner = text.get(1..)?;
    let first = inner.chars().next()?;
    if first == '\\' {
        let escaped = inner.get(1..)?.chars().next()?.len_utf8();
        return inner.get(1 + escaped..)?.find('\'').map(|at| 1 + 1 + escaped + at + 1);
    }
    inner.get(first.len_utf8()..)?.starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The code with its inline test modules blanked. What it is given must be code only: braces in strings would count.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, marked) = rest.split_at(at);
        let end = inline_module_end(marked, MARK.len()).unwrap_or(MARK.len());
        let (module, later) = marked.split_at(end);
        out.push_str(before);
        out.extend(module.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = later;
    }
    out.push_str(rest);
    out
}

/// Where the module ends whose attribute ends at `at`; `None` if no inline module follows.
fn inline_module_end(text: &str, at: usize) -> Option<usize> {
    let after = text.get(at..)?;
    let open = after.find(['{', ';'])?;
    let head = after.get(..open)?;
    if !head.split_whitespace().any(|word| word == "mod") || !after.get(open..)?.starts_with('{') {
        return None;
    }
    let mut depth = 0_usize;
    for (offset, c) in after.get(open..)?.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return Some(at + open + offset + 1);
        }
    }
    Some(text.len())
}

/// The numbers (from 1) of the lines that have `word`, where it is not a part of a longer word.
pub(super) fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let has = |line: &str| {
        line.match_indices(word).any(|(at, _)| {
            let before = line.get(..at).and_then(|s| s.chars().next_back());
            let after = line.get(at + word.len()..).and_then(|s| s.chars().next());
            let ends_in_word = word.ends_with(is_word);
            let longer = before.is_some_and(is_word) || (ends_in_word && after.is_some_and(is_word));
            !longer
        })
    };
    text.lines().enumerate().filter(|(_, line)| has(line)).map(|(number, _)| number + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left of the text, spaces removed.
    fn left(text: &str) -> String {
        let code = code_only(text);
        assert_eq!(code.len(), text.len(), "{text}");
        assert_eq!(code.lines().count(), text.lines().count(), "{text}");
        code.replace([' ', '\n'], "")
    }

    #[test]
    fn comments_strings_and_characters_are_no_code() {
        for (text, expected) in [
            ("a // b\nc", "ac"),
            ("a /* b /* c */ d */ e", "ae"),
            ("a /* never closed", "a"),
            ("f(\"b \\\" c\", d)", "f(,d)"),
            ("f(\"https://x\") + g", "f()+g"),
            ("f(r\"b\\\", c)", "f(,c)"),
            ("f(r#\"b \" c\"#, d)", "f(,d)"),
            ("f(br##\"b \"# c\"##, d)", "f(,d)"),
            ("f(b\"x\", d)", "f(b,d)"),
            ("f('a', '\\'', '\\\\', '\"', '\\u{41}', 'ä') g", "f(,,,,,)g"),
            ("fn f<'a>(x: &'a str) { 'l: loop {} }", "fnf<'a>(x:&'astr){'l:loop{}}"),
            ("r#type \"x\"", "r#type"),
            ("for\"x\"", "for"),
            ("\"ä\n\" b", "b"),
        ] {
            assert_eq!(left(text), expected, "{text}");
        }
    }

    #[test]
    fn inline_test_modules_are_blanked_and_nothing_else() {
        let code = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\n#[path]\nmod t {\n c { d }\n}\ne\n#[cfg(test)]\nfn f() { g }\n";
        let kept = without_tests(code);
        assert_eq!(kept.split_whitespace().collect::<String>(), "amodtests;befnf(){g}");
        assert_eq!(kept.lines().count(), code.lines().count());
    }

    #[test]
    fn words_are_found_whole_with_their_lines() {
        let text = "unsafe {\nnot_unsafe unsafely\n(unsafe)\n";
        assert_eq!(lines_with(text, "unsafe"), [1, 3]);
        assert_eq!(lines_with("x::var(\nmyx::var(", "x::var("), [1]);
    }
}
