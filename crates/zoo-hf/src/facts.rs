//! What is known of a model, in the manifest's words: from the hub, from the card's front matter, and from the small files that
//! came with it.

use serde_json::{Value, json};
use zoo_core::manifest::ModelFacts;

use crate::api::Info;
use crate::preprocess;

/// A card's front matter with the results of hundreds of benchmarks has some hundred kilobytes.
const MAX_FRONT_MATTER: usize = 1 << 20;

/// More labels than any classifier has.
const MAX_LABELS: usize = 1 << 20;

/// The names that transformers gives to labels that nobody named.
const UNNAMED: &str = "LABEL_";

/// The small files that say something, where they are.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// `README.md`.
    pub(crate) card: Option<Vec<u8>>,
    /// `config.json`.
    pub(crate) config: Option<Value>,
    /// `preprocessor_config.json`, or `processor_config.json`.
    pub(crate) processor: Option<Value>,
}

/// Puts in what the hub says about a repository.
pub(crate) fn of_info(info: &Info, page: String, facts: &mut ModelFacts) {
    facts.tags.clone_from(&info.tags);
    facts.documentation = Some(page);
    if let Some(card) = &info.card {
        of_card(card, facts);
    }
    note(facts, "task", info.pipeline_tag.as_ref().map(|task| json!(task)));
    note(facts, "library", info.library.as_ref().map(|library| json!(library)));
}

/// Puts in what the files say. They are of the commit itself, and win over what the hub says.
pub(crate) fn of_files(told: &Told, facts: &mut ModelFacts) {
    if let Some(card) = told.card.as_deref().and_then(front_matter) {
        of_card(&card, facts);
    }
    let Some(config) = &told.config else { return };
    for name in ["model_type", "architectures"] {
        note(facts, name, config.get(name).filter(|value| !value.is_null()).cloned());
    }
    if let Some(names) = labels(config) {
        facts.labels = Some(json!({ "names": names }));
    }
    if let Some(recipe) = told.processor.as_ref().and_then(|p| preprocess::recipe(p, config)) {
        facts.preprocessing = Some(recipe);
    }
}

fn of_card(card: &Value, facts: &mut ModelFacts) {
    let text = |name: &str| card.get(name).and_then(Value::as_str).map(str::to_owned);
    let licence = text("license").or_else(|| joined(card.get("license")?));
    facts.licence = match licence.as_deref() {
        // The hub's word for a licence that has no identifier; its name is beside it.
        Some("other") => text("license_name").or(licence),
        _ => licence,
    }
    .or(facts.licence.take());
    if facts.tags.is_empty() {
        facts.tags.extend(card.get("tags").into_iter().flat_map(texts));
    }
    note(facts, "licence_link", card.get("license_link").filter(|link| link.is_string()).cloned());
    note(facts, "task", text("pipeline_tag").map(Value::from));
    note(facts, "library", text("library_name").map(Value::from));
    for name in ["base_model", "language", "datasets"] {
        let values: Vec<String> = card.get(name).into_iter().flat_map(texts).collect();
        note(facts, name, (!values.is_empty()).then(|| json!(values)));
    }
}

fn note(facts: &mut ModelFacts, name: &str, value: Option<Value>) {
    facts.other.extend(value.map(|value| (name.to_owned(), value)));
}

/// A text, or a list of them: cards have both.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn joined(value: &Value) -> Option<String> {
    Some(texts(value).join(", ")).filter(|text| !text.is_empty())
}

/// The YAML between `---` and `---` at the beginning of a card.
fn front_matter(card: &[u8]) -> Option<Value> {
    let card = card.get(..card.len().min(MAX_FRONT_MATTER))?;
    // The end may be in the middle of a character, but the front matter is not there.
    let text = String::from_utf8_lossy(card);
    let text = text.trim_start_matches('\u{feff}');
    let rest = text.strip_prefix("---")?.trim_start_matches([' ', '\t', '\r']).strip_prefix('\n')?;
    let end = rest.find("\n---").map(|end| end + 1).or_else(|| rest.starts_with("---").then_some(0))?;
    let yaml = rest.get(..end)?;
    match serde_saphyr::from_str::<Value>(yaml) {
        Ok(value) => Some(value).filter(Value::is_object),
        Err(error) => {
            tracing::info!(%error, "the card's front matter cannot be read");
            None
        }
    }
}

/// The names of a classifier's outputs, in their order.
fn labels(config: &Value) -> Option<Vec<String>> {
    let map = config.get("id2label")?.as_object()?;
    if map.is_empty() || map.len() > MAX_LABELS {
        return None;
    }
    let names: Option<Vec<String>> =
        (0..map.len()).map(|index| map.get(&index.to_string())?.as_str().map(str::to_owned)).collect();
    names.filter(|names| names.iter().any(|name| !name.starts_with(UNNAMED)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &[u8] = b"---\nlanguage:\n- en\n- de\nlicense: apache-2.0\ntags:\n- exbert\nbase_model: org/base\npipeline_tag: fill-mask\n---\n\n# A model\n\n---\nnot: this\n---\n";

    fn of(card: &[u8], config: Value) -> ModelFacts {
        let mut facts = ModelFacts::default();
        of_files(&Told { card: Some(card.to_vec()), config: Some(config), processor: None }, &mut facts);
        facts
    }

    #[test]
    fn the_card_says_licence_task_and_base() {
        let facts = of(CARD, json!({"model_type": "bert", "architectures": ["BertForMaskedLM"]}));
        assert_eq!(facts.licence.as_deref(), Some("apache-2.0"));
        assert_eq!(facts.tags, ["exbert"]);
        assert_eq!(facts.other["language"], json!(["en", "de"]));
        assert_eq!(facts.other["base_model"], json!(["org/base"]));
        assert_eq!((&facts.other["task"], &facts.other["model_type"]), (&json!("fill-mask"), &json!("bert")));
        assert!(!facts.other.contains_key("not") && facts.labels.is_none());
        let other = of(b"---\nlicense: other\nlicense_name: gemma\nlicense_link: LICENSE\n---\n", json!({}));
        assert_eq!(
            (other.licence.as_deref(), &other.other["licence_link"]),
            (Some("gemma"), &json!("LICENSE"))
        );
    }

    #[test]
    fn what_is_no_front_matter_says_nothing() {
        let bomb = b"---\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f,*f,*f]\n---\n";
        let deep = [b"---\na: ".as_slice(), &b"[".repeat(100_000), b"\n---\n"].concat();
        for card in [
            &b""[..],
            b"# no",
            b"---\n",
            b"---\nlicense: mit\n",
            b"---\n: : :\n---\n",
            b"---\n- a\n---\n",
            bomb,
            &deep,
        ] {
            assert_eq!(of(card, json!({})).licence, None);
        }
        assert_eq!(
            of(b"\xef\xbb\xbf---\r\nlicense: mit\r\n---\r\n", json!({})).licence.as_deref(),
            Some("mit")
        );
        assert_eq!(of(b"---\nlicense: mit\n---\n\xff\xfe", json!({})).licence.as_deref(), Some("mit"));
    }

    #[test]
    fn labels_are_in_the_order_of_the_outputs() {
        let names = |map: Value| labels(&json!({ "id2label": map }));
        let many: serde_json::Map<String, Value> =
            (0..12).map(|i| (i.to_string(), json!(format!("n{i}")))).collect();
        assert_eq!(names(many.into()).unwrap()[10], "n10");
        assert_eq!(names(json!({"1": "b", "0": "a"})).unwrap(), ["a", "b"]);
        for nothing in
            [json!({}), json!({"0": "LABEL_0", "1": "LABEL_1"}), json!({"0": "a", "2": "b"}), json!({"0": 1})]
        {
            assert_eq!(names(nothing.clone()), None, "{nothing}");
        }
    }

    #[test]
    fn the_hubs_word_gives_way_to_the_files() {
        let mut facts = ModelFacts::default();
        let info = Info {
            tags: vec!["pytorch".into()],
            pipeline_tag: Some("feature-extraction".into()),
            library: Some("transformers".into()),
            card: Some(json!({"license": "mit"})),
            ..Info::default()
        };
        of_info(&info, "https://h/org/name".into(), &mut facts);
        assert_eq!(
            (facts.licence.as_deref(), &facts.other["library"]),
            (Some("mit"), &json!("transformers"))
        );
        of_files(&Told { card: Some(CARD.to_vec()), ..Told::default() }, &mut facts);
        assert_eq!(
            (facts.licence.as_deref(), &facts.tags),
            (Some("apache-2.0"), &vec!["pytorch".to_owned()])
        );
        assert_eq!(facts.other["task"], "fill-mask");
    }
}
