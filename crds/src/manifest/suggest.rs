//! Which field was meant by an unknown one.

use serde_json::Value;

/// Fields that are named further away than this were not meant.
const NEAR: f64 = 0.75;

/// What to say about an unknown field.
pub(super) fn unknown(root: &Value, path: &str) -> String {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let schema = parent.split('.').filter(|part| !part.is_empty()).fold(root, |schema, part| {
        let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
        // The number of a list's item is no field.
        if part.parse::<usize>().is_ok() { schema } else { &schema["properties"][part] }
    });
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    let camel = camel_case(name);
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys());
    let nearest = fields
        .map(|field| (strsim::jaro_winkler(field, &camel), field))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((_, field)) => format!("unknown field; did you mean {field}?"),
        None => "unknown field: remove it".to_owned(),
    }
}

/// A path as people write it: without the marks of optional values.
pub(super) fn normal(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".")
}

fn camel_case(name: &str) -> String {
    let mut out = String::new();
    let mut upper = false;
    for letter in name.chars() {
        if letter == '_' || letter == '-' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            out.extend(letter.to_uppercase());
        } else {
            out.push(letter);
        }
    }
    out
}
