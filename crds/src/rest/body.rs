//! Reading a request's body.

use serde_json::{Map, Value};

use super::problem::{FieldError, Problem};

/// The JSON object in a body.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Err(Problem::malformed("the body is empty: send a JSON object"));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(other) => Err(Problem::malformed(format!("the body must be a JSON object, not {}", kind(&other)))),
        Err(error) => Err(Problem::malformed(format!("the body is no JSON: {error}"))),
    }
}

/// Refuses keys that are not among `names`.
pub(super) fn known(values: &Map<String, Value>, names: &[&str]) -> Result<(), Problem> {
    let unknown: Vec<FieldError> = values
        .keys()
        .filter(|key| !names.contains(&key.as_str()))
        .map(|key| FieldError { field: key.clone(), message: suggest(key, names) })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let detail: Vec<_> = unknown.iter().map(|error| error.message.clone()).collect();
    Err(Problem::malformed(detail.join("; ")).with(unknown))
}

fn suggest(key: &str, names: &[&str]) -> String {
    // `poolMinSize`, `pool-min-size` and `min_size` are near, too.
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
    };
    let written = plain(key);
    let distance = |name: &str| {
        let name = plain(name);
        let short = name.strip_prefix("pool").unwrap_or(&name);
        strsim::damerau_levenshtein(&name, &written).min(strsim::damerau_levenshtein(short, &written))
    };
    let near = names.iter().min_by_key(|name| distance(name));
    match near.filter(|name| distance(name) <= (written.len() / 4).max(1)) {
        Some(name) => format!("unknown key {key:?}; did you mean {name}?"),
        None => format!("unknown key {key:?}; there are {}", names.join(", ")),
    }
}

/// A whole number, however it is written: JSON knows one kind of numbers.
pub(super) fn whole(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is in the range in which floats hold whole numbers"
    )]
    let of_float = |number: f64| (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    value.as_i64().or_else(|| of_float(value.as_f64()?))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
