//! The essential sentence of ONNX Runtime's messages.
//!
//! They begin with what was being done, often name a place in its source with the function's whole signature, and may end
//! in a stack trace:
//!
//! ```text
//! Load model from m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 onnxruntime::Model::Model(onnx::
//! ModelProto&&, const onnxruntime::PathString&, ...) Unsupported model IR version: 99, max supported IR version: 14
//! ```
//!
//! A message of a form that is not known stays as it is.

/// What a person needs of a message.
pub(super) fn essential(message: &str) -> String {
    // What follows is addressed to whoever has ONNX Runtime's source at hand.
    let message = message.split("\nStacktrace:").next().unwrap_or(message);
    let text = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut text = text.as_str();
    // That this model failed to load is in our own sentence.
    if let Some((_, rest)) =
        text.strip_prefix("Load model from ").and_then(|rest| rest.split_once(" failed:"))
    {
        text = rest;
    }
    for prefix in ["This is an invalid model. ", "Invalid model. ", "Error: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let (node, text) = node(text);
    let text = without_places(text);
    match (node, text.is_empty()) {
        (Some(node), _) => format!("{node}: {text}"),
        (None, false) => text,
        (None, true) => "it does not say why".to_owned(),
    }
}

/// The node a message is about, and what it says of it. Two forms:
///
/// ```text
/// In Node, ("conv1", Foo, "", -1) : ("x": tensor(float),) -> ("y": tensor(float),) , Error No Op registered for Foo
/// Non-zero status code returned while running MatMul node. Name:'fc' Status Message: matmul_helper.h:59 Compute ...
/// ```
fn node(text: &str) -> (Option<String>, &str) {
    let shown = |name: &str, op: &str| {
        if name.is_empty() { format!("a node of {op}") } else { format!("node \"{name}\" ({op})") }
    };
    let loading = || {
        let (node, said) = text.strip_prefix("In Node, (\"")?.split_once(" , Error ")?;
        let (name, rest) = node.split_once("\", ")?;
        Some((Some(shown(name, rest.split_once(',')?.0)), said))
    };
    let running = || {
        let rest = text.strip_prefix("Non-zero status code returned while running ")?;
        let (op, rest) = rest.split_once(" node. Name:'")?;
        let (name, said) = rest.split_once("' Status Message: ")?;
        Some((Some(shown(name, op)), said))
    };
    loading().or_else(running).unwrap_or((None, text))
}

/// The text without places in source files and the functions they are in.
fn without_places(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        if !is_place(word) {
            kept.push(word);
            rest = after;
        } else if word.contains('/') {
            rest = after_signature(after);
        } else {
            // The short form has the function's bare name.
            rest = after.split_once(' ').map_or("", |(_, after)| after);
        }
    }
    kept.join(" ")
}

/// `/onnxruntime_src/onnxruntime/core/graph/model.cc:256`, `matmul_helper.h:59`.
fn is_place(word: &str) -> bool {
    word.rsplit_once(':').is_some_and(|(file, line)| {
        [".cc", ".h", ".cpp", ".inl"].iter().any(|extension| file.ends_with(extension))
            && !line.is_empty()
            && line.chars().all(|character| character.is_ascii_digit())
    })
}

/// What follows a function's signature: everything behind the word that its parentheses close in.
fn after_signature(text: &str) -> &str {
    let (mut depth, mut closed) = (0_usize, false);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => (depth, closed) = (depth.saturating_sub(1), true),
            ' ' if closed && depth == 0 => {
                let after = &text[at + 1..];
                let after = after.strip_prefix("const ").unwrap_or(after);
                let template = after.strip_prefix("[with ").and_then(|rest| rest.split_once("] "));
                return template.map_or(after, |(_, after)| after);
            }
            _ => {}
        }
    }
    // No parentheses: no signature.
    if closed { "" } else { text }
}

#[cfg(test)]
mod tests {
    use super::essential;

    /// Messages of ONNX Runtime 1.32.0, word for word.
    #[test]
    fn what_matters_is_kept() {
        for (message, expected) in [
            (
                "Load model from some where/model.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 \
                 onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const \
                 onnxruntime::IOnnxRuntimeOpSchemaRegistryList*, const onnxruntime::logging::Logger&, const \
                 onnxruntime::ModelOptions&) Unsupported model IR version: 99, max supported IR version: 14\n",
                "Unsupported model IR version: 99, max supported IR version: 14",
            ),
            (
                "Load model from m.onnx failed:This is an invalid model. In Node, (\"\", Foo, \"\", -1) : (\"x\": \
                 tensor(float),) -> (\"y\": tensor(float),) , Error No Op registered for Foo with domain_version of 17",
                "a node of Foo: No Op registered for Foo with domain_version of 17",
            ),
            (
                "Load model from m.onnx failed:This is an invalid model. Error: the graph is not acyclic.",
                "the graph is not acyclic.",
            ),
            (
                "Load model from m.onnx failed:Invalid model. Node input 'zz' is not a graph input, initializer, or \
                 output of a previous node.",
                "Node input 'zz' is not a graph input, initializer, or output of a previous node.",
            ),
            (
                "Non-zero status code returned while running MatMul node. Name:'fc' Status Message: matmul_helper.h:59 \
                 Compute MatMul dimension mismatch",
                "node \"fc\" (MatMul): MatMul dimension mismatch",
            ),
            (
                "/onnxruntime_src/onnxruntime/core/x.cc:12 void onnxruntime::X<T>::f(std::function<void(int)>) const \
                 [with T = float] size > 0 was false. Too small.\nStacktrace:\n  0# 0x1",
                "size > 0 was false. Too small.",
            ),
            ("/onnxruntime_src/x.h:1 auto onnxruntime::f(int)::<lambda(size_t)> broken", "broken"),
            ("Something entirely else: (really) a.b:3", "Something entirely else: (really) a.b:3"),
            ("", "it does not say why"),
            ("  \n", "it does not say why"),
            ("/a/x.cc:1 f(", "f("),
            ("x.h:1", "it does not say why"),
        ] {
            assert_eq!(essential(message), expected);
        }
    }
}
