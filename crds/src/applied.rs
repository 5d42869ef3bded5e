//! What a field manager has applied to an object. Pure.
//!
//! Whoever applies a smaller set than before gives up the rest, and the API server removes it; so what is applied is
//! always the union of what the manager owns and the change.

use serde_json::{Map, Value};

/// The fields of `spec` that a manager has applied, with the values that they have now.
pub fn spec_of(object: &Value, manager: &str) -> Map<String, Value> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let mut owned = Map::new();
    for entry in entries.filter(|entry| applied_by(entry, manager)) {
        if let Some(Value::Object(part)) = pick(&entry["fieldsV1"]["f:spec"], &object["spec"]) {
            merge(&mut owned, part);
        }
    }
    owned
}

fn applied_by(entry: &Value, manager: &str) -> bool {
    entry["manager"] == manager
        && entry["operation"] == "Apply"
        && entry["subresource"].as_str().unwrap_or_default().is_empty()
}

/// Who set a field, given by its path below `spec`. The last that changed it comes first.
pub fn managers(object: &Value, path: &[&str]) -> Vec<String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let fields =
            path.iter().fold(&entry["fieldsV1"]["f:spec"], |fields, name| &fields[format!("f:{name}")]);
        if fields.is_object() {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            found.push((text("time"), text("manager")));
        }
    }
    found.sort();
    found.into_iter().rev().map(|(_, manager)| manager).collect()
}

/// The part of a value that a set of fields names.
fn pick(fields: &Value, value: &Value) -> Option<Value> {
    let names = fields.as_object()?;
    let (Some(object), true) = (value.as_object(), names.keys().any(|name| name.starts_with("f:"))) else {
        // A leaf, or a list, of which the whole is taken.
        return (!value.is_null()).then(|| value.clone());
    };
    let mut part = Map::new();
    for (name, fields) in names {
        let Some(name) = name.strip_prefix("f:") else { continue };
        if let Some(value) = object.get(name).and_then(|value| pick(fields, value)) {
            part.insert(name.to_owned(), value);
        }
    }
    Some(Value::Object(part))
}

/// Puts `change` over `base`: objects are merged, anything else replaces.
pub fn merge(base: &mut Map<String, Value>, change: Map<String, Value>) {
    for (name, value) in change {
        let merged = match (base.remove(&name), value) {
            (Some(Value::Object(mut known)), Value::Object(value)) => {
                merge(&mut known, value);
                Value::Object(known)
            }
            (_, value) => value,
        };
        base.insert(name, merged);
    }
}

/// An object of one field, given by its path.
pub fn field(path: &[&str], value: Value) -> Map<String, Value> {
    match path {
        [] => Map::new(),
        [name] => Map::from_iter([((*name).to_owned(), value)]),
        [name, rest @ ..] => Map::from_iter([((*name).to_owned(), Value::Object(field(rest, value)))]),
    }
}

/// Takes a field out, and the objects that are empty without it. Whether it was there.
pub fn remove(object: &mut Map<String, Value>, path: &[&str]) -> bool {
    match path {
        [] => false,
        [name] => object.remove(*name).is_some(),
        [name, rest @ ..] => {
            let Some(Value::Object(inner)) = object.get_mut(*name) else { return false };
            let found = remove(inner, rest);
            if found && inner.is_empty() {
                object.remove(*name);
            }
            found
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": {"managedFields": [
                {"manager": "gitops", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": {"f:spec": {
                    "f:poolMaxSize": {}, "f:upstream": {"f:url": {}}
                }}},
                {"manager": "mine", "operation": "Apply", "time": "2026-01-02T00:00:00Z", "fieldsV1": {"f:spec": {
                    "f:drain": {"f:timeoutSeconds": {}}, "f:desiredState": {}, "f:identityHeaders": {"v:\"X-User\"": {}}
                }}},
                {"manager": "mine", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
            ]},
            "spec": {
                "poolMaxSize": 5, "replicas": 2, "drain": {"timeoutSeconds": 9, "other": 1}, "desiredState": "Drained",
                "identityHeaders": ["X-User"], "upstream": {"url": "u"}
            }
        })
    }

    #[test]
    fn only_what_was_applied_is_owned() {
        let owned = spec_of(&object(), "mine");
        let expected = json!({
            "drain": {"timeoutSeconds": 9}, "desiredState": "Drained", "identityHeaders": ["X-User"]
        });
        assert_eq!(Value::Object(owned), expected);
        assert!(spec_of(&object(), "nobody").is_empty());
    }

    #[test]
    fn a_field_is_somebodys() {
        assert_eq!(managers(&object(), &["poolMaxSize"]), ["gitops"]);
        assert_eq!(managers(&object(), &["drain", "timeoutSeconds"]), ["mine"]);
        assert!(managers(&object(), &["poolMinSize"]).is_empty());
    }

    #[test]
    fn changes_are_merged_and_taken_out() {
        let mut owned = spec_of(&object(), "mine");
        merge(&mut owned, field(&["desiredState"], json!("Active")));
        merge(&mut owned, field(&["drain", "other"], json!(2)));
        assert_eq!(owned["drain"], json!({"timeoutSeconds": 9, "other": 2}));
        assert!(remove(&mut owned, &["drain", "other"]));
        merge(&mut owned, field(&["poolMinSize"], json!(1)));
        assert_eq!((&owned["desiredState"], &owned["poolMinSize"]), (&json!("Active"), &json!(1)));
        assert!(remove(&mut owned, &["drain", "timeoutSeconds"]));
        assert!(!owned.contains_key("drain"), "an empty object is left");
        assert!(!remove(&mut owned, &["drain", "timeoutSeconds"]));
    }
}
