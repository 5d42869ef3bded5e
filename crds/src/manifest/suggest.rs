//! Which field was meant by an unknown one.

use serde_json::Value;

/// What to say about an unknown field.
pub(super) fn unknown(root: &Value, path: &str) -> String {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let schema = parent.split('.').filter(|part| !part.is_empty()).fold(root, |schema, part| {
        let schema = inside(schema);
        // The number of a list's item is no field.
        if part.parse::<usize>().is_ok() { schema } else { &schema["properties"][part] }
    });
    let camel = camel_case(name);
    let near = fields(schema).filter_map(|field| Some((distance(field, &camel)?, field)));
    if let Some((_, field)) = near.min_by_key(|(distance, _)| *distance) {
        return format!("unknown field; did you mean {field}?");
    }
    let mut elsewhere = Vec::new();
    find(&root["properties"]["spec"], "spec", &camel, &mut elsewhere);
    // The one nearest to the top, if there is one.
    let depth = |path: &String| path.split('.').count();
    let top = elsewhere.iter().map(depth).min();
    elsewhere.retain(|path| Some(depth(path)) == top);
    match elsewhere.as_slice() {
        [path] => format!("unknown field; did you mean {path}?"),
        _ => "unknown field: remove it".to_owned(),
    }
}

/// A path as people write it: without the marks of optional values.
pub(super) fn normal(path: &str) -> String {
    path.split('.').filter(|part| *part != "?").collect::<Vec<_>>().join(".")
}

fn inside(schema: &Value) -> &Value {
    if schema["items"].is_object() { &schema["items"] } else { schema }
}

fn fields(schema: &Value) -> impl Iterator<Item = &String> {
    inside(schema)["properties"].as_object().into_iter().flat_map(|fields| fields.keys())
}

/// How far a field is from what was written, if it may have been meant.
fn distance(field: &str, written: &str) -> Option<usize> {
    let (lower, written) = (field.to_lowercase(), written.to_lowercase());
    let distance = strsim::damerau_levenshtein(&lower, &written);
    // `minSize` for `poolMinSize`
    let prefix_left_out = lower.strip_prefix("pool") == Some(&written);
    (distance <= (written.len() / 4).max(1) || prefix_left_out).then_some(distance)
}

/// The paths of every field with exactly this name.
fn find(schema: &Value, path: &str, name: &str, found: &mut Vec<String>) {
    for (field, schema) in inside(schema)["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{field}");
        find(schema, &path, name, found);
        if field == name {
            found.push(path);
        }
    }
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
