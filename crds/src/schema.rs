//! The CustomResourceDefinition, as it is generated and committed.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::SessionPool;

/// The CustomResourceDefinition as JSON.
///
/// # Errors
/// Never in practice: it is made of plain values.
pub fn json() -> serde_json::Result<Value> {
    let mut crd = serde_json::to_value(SessionPool::crd())?;
    tidy(&mut crd);
    Ok(crd)
}

/// The text of `crds/sessionpool.yaml`.
///
/// # Errors
/// Never in practice: it is made of plain values.
pub fn yaml() -> Result<String, Box<dyn std::error::Error>> {
    let head = "# Generated from the types in crds/src by `make crds`.\n";
    Ok(format!("{head}{}", serde_yaml::to_string(&json()?)?))
}

/// Drops `nullable`, so that an explicit null means unset, and writes whole bounds as integers.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if fields.get("nullable").is_some_and(Value::is_boolean) {
                fields.remove("nullable");
            }
            for bound in ["minimum", "maximum"] {
                let whole = fields.get(bound).and_then(Value::as_f64).filter(|number| number.fract() == 0.0);
                if let Some(number) = whole {
                    #[allow(clippy::cast_possible_truncation)]
                    fields.insert(bound.into(), (number as i64).into());
                }
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_file_is_the_generated_one() {
        let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sessionpool.yaml"));
        let same = committed.is_ok_and(|text| text == super::yaml().unwrap());
        assert!(same, "crds/sessionpool.yaml is not what the types say: run `make crds`");
    }

    /// Every field must say its default and give an example: `kubectl explain` is the manual.
    #[test]
    fn every_field_of_the_specification_is_described() {
        let crd = super::json().unwrap();
        let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let missing: Vec<_> = spec["properties"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, field)| {
                let text = field["description"].as_str().unwrap_or_default();
                field["x-kubernetes-validations"].is_null()
                    && !(text.contains("Default: ") && text.contains("Example: "))
            })
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(missing, Vec::<String>::new());
    }
}
