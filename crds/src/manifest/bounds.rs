//! The schema's bounds: ranges, lengths, patterns, numbers of items, items that must differ.

use std::collections::HashSet;

use serde_json::Value;

use super::Complaint;

/// Compares a value with its schema: ranges, lengths, patterns, numbers of items.
pub(super) fn check(schema: &Value, value: &Value, complaints: &mut Vec<Complaint>) {
    walk(schema, value, "", complaints);
}

fn walk(schema: &Value, value: &Value, path: &str, complaints: &mut Vec<Complaint>) {
    let mut complain = |message: String| complaints.push(Complaint { field: path.to_owned(), message });
    // Other types are read as such; this one may be any object, and would be taken as any value.
    if schema["type"] == "object" && !value.is_object() && !value.is_null() {
        complain(format!("must be an object, not {value}"));
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
            if least.is_some_and(|least| number < least) || most.is_some_and(|most| number > most) {
                complain(match (least, most) {
                    (Some(_), None) => format!("must be at least {}, not {value}", schema["minimum"]),
                    (None, _) => format!("must be at most {}, not {value}", schema["maximum"]),
                    _ => format!("must be from {} to {}, not {value}", schema["minimum"], schema["maximum"]),
                });
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
            for index in repeated(schema, items) {
                complaints.push(Complaint {
                    field: format!("{path}[{index}]"),
                    message: format!("{} is given twice: remove one", items[index]),
                });
            }
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

/// The items of a set, or of a list with keys, that stand further up already.
fn repeated(schema: &Value, items: &[Value]) -> Vec<usize> {
    let keys = schema["x-kubernetes-list-map-keys"].as_array();
    let identity = |item: &Value| match (schema["x-kubernetes-list-type"].as_str(), keys) {
        (Some("set"), _) => Some(item.to_string()),
        (Some("map"), Some(keys)) => {
            Some(keys.iter().filter_map(Value::as_str).map(|key| item[key].to_string()).collect())
        }
        _ => None,
    };
    let mut seen = HashSet::new();
    let is_repeated = |item: &Value| identity(item).is_some_and(|identity| !seen.insert(identity));
    let marks: Vec<bool> = items.iter().map(is_repeated).collect();
    (0..items.len()).filter(|index| marks[*index]).collect()
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
