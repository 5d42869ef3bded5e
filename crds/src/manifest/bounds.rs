//! The schema's bounds on single values.

use serde_json::Value;

use super::Complaint;

/// Compares a value with its schema: ranges, lengths, patterns, numbers of items.
pub(super) fn check(schema: &Value, value: &Value, complaints: &mut Vec<Complaint>) {
    walk(schema, value, "", complaints);
}

fn walk(schema: &Value, value: &Value, path: &str, complaints: &mut Vec<Complaint>) {
    let mut complain = |message: String| complaints.push(Complaint { field: path.to_owned(), message });
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
            if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
                complain(format!("must be from {} to {}, not {value}", schema["minimum"], schema["maximum"]));
            }
        }
        Value::String(text) => {
            let length = text.chars().count();
            size(schema, "Length", length, "characters", &mut complain);
            let pattern = schema["pattern"].as_str().and_then(|pattern| regex::Regex::new(pattern).ok());
            if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
                complain(format!("{text:?} must match {pattern}"));
            }
        }
        Value::Array(items) => {
            size(schema, "Items", items.len(), "items", &mut complain);
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}[{index}]"), complaints);
            }
        }
        Value::Object(fields) => {
            size(schema, "Properties", fields.len(), "entries", &mut complain);
            for (name, value) in fields {
                let listed = &schema["properties"][name];
                let schema = if listed.is_object() { listed } else { &schema["additionalProperties"] };
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                walk(schema, value, &path, complaints);
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn size(schema: &Value, of: &str, found: usize, unit: &str, complain: &mut impl FnMut(String)) {
    let bound = |side: &str| schema[format!("{side}{of}")].as_u64();
    let found = found as u64;
    if let Some(least) = bound("min").filter(|least| found < *least) {
        complain(format!("must have at least {least} {unit}"));
    }
    if let Some(most) = bound("max").filter(|most| found > *most) {
        complain(format!("must have at most {most} {unit}, not {found}"));
    }
}
