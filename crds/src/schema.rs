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
    let text = serde_yaml::to_string(&json()?)?;
    let lines: String = text.lines().map(|line| quote_yaml_1_1(line) + "\n").collect();
    Ok(format!("{head}{lines}"))
}

/// Quotes a value that YAML 1.1, which kubectl and Helm read, takes for a boolean.
fn quote_yaml_1_1(line: &str) -> String {
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let at = ["- ", ": "].iter().filter_map(|mark| Some(line.rfind(mark)? + mark.len())).max();
    let Some((head, value)) = at.map(|at| line.split_at(at)) else { return line.to_owned() };
    if BOOLEANS.contains(&value.to_ascii_lowercase().as_str()) {
        return format!("{head}'{value}'");
    }
    line.to_owned()
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
    use serde_json::Value;

    #[test]
    fn the_committed_file_is_the_generated_one() {
        let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/sessionpool.yaml"));
        let same = committed.is_ok_and(|text| text == super::yaml().unwrap());
        assert!(same, "crds/sessionpool.yaml is not what the types say: run `make crds`");
    }

    #[test]
    fn words_that_yaml_1_1_takes_for_booleans_are_quoted() {
        assert_eq!(super::quote_yaml_1_1("        - Off"), "        - 'Off'");
        assert_eq!(super::quote_yaml_1_1("  default: no"), "  default: 'no'");
        assert_eq!(
            super::quote_yaml_1_1("  description: turn it: off now"),
            "  description: turn it: off now"
        );
        assert_eq!(super::quote_yaml_1_1("  default: true"), "  default: true");
    }

    /// Types of Kubernetes' own have its descriptions and bounds.
    const FOREIGN: [&str; 6] =
        ["resources", "env", "imagePullSecrets", "tokenSecretRef", "bearerTokenSecretRef", "caConfigMapRef"];

    /// Every field below a schema, with its path; of foreign types the field alone.
    fn fields(path: &str, schema: &Value, out: &mut Vec<(String, Value, bool)>) {
        let owner = if schema["items"]["properties"].is_object() { &schema["items"] } else { schema };
        let required =
            |name: &str| owner["required"].as_array().is_some_and(|all| all.contains(&name.into()));
        for (name, field) in owner["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            out.push((path.clone(), field.clone(), required(name)));
            if !FOREIGN.contains(&name.as_str()) {
                fields(&path, field, out);
            }
        }
    }

    fn specification() -> Vec<(String, Value, bool)> {
        let crd = super::json().unwrap();
        let mut out = Vec::new();
        fields(
            "spec",
            &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"],
            &mut out,
        );
        assert!(out.len() > 70, "{}", out.len());
        out
    }

    /// Every field must say its default and give an example: `kubectl explain` is the manual.
    #[test]
    fn every_field_of_the_specification_is_described() {
        let undescribed = |(path, field, required): (String, Value, bool)| {
            let text = field["description"].as_str().unwrap_or_default();
            let whole = path == "spec.upstream"
                || (required || text.contains("Default: ")) && text.contains("Example: ");
            (!whole).then_some(path)
        };
        let missing: Vec<_> = specification().into_iter().filter_map(undescribed).collect();
        assert_eq!(missing, Vec::<String>::new());
    }

    /// What `kubectl explain` says of a default must be what the API server stores.
    #[test]
    fn descriptions_name_the_default_that_is_stored() {
        for (path, field, _) in specification() {
            let default = &field["default"];
            if default.is_number() || default.is_boolean() || default.is_string() {
                let text = field["description"].as_str().unwrap_or_default();
                let plain = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
                let named = text.contains(&format!("Default: {plain}"))
                    || text.contains(&format!("Default: \"{plain}\""));
                assert!(named, "{path}: the default is {plain}, the description says: {text}");
            }
        }
    }

    #[test]
    fn everything_is_bounded() {
        fn unbounded(field: &Value) -> bool {
            match field["type"].as_str() {
                Some("string") => field["enum"].is_null() && field["maxLength"].is_null(),
                Some("integer") => field["minimum"].is_null() || field["maximum"].is_null(),
                Some("array") => {
                    let of_fields = field["items"]["properties"].is_object();
                    field["maxItems"].is_null() || !of_fields && unbounded(&field["items"])
                }
                Some("object") if field["additionalProperties"].is_object() => {
                    field["maxProperties"].is_null() || unbounded(&field["additionalProperties"])
                }
                _ => false,
            }
        }
        let found: Vec<_> = specification()
            .into_iter()
            .filter(|(_, field, _)| unbounded(field))
            .map(|(path, ..)| path)
            .collect();
        assert_eq!(found, Vec::<String>::new());
    }
}
