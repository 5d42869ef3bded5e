//! `config set`: changes of the specification, which the API server checks.

use std::sync::LazyLock;

use crds::{SessionPool, applied, schema};
use serde_json::{Map, Value};

use crate::{
    args::Config,
    connect::Cluster,
    failure::Failure,
    output::{count, lines, put},
    write,
};

static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let mut crd = schema::json().unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].take()
});

/// One field, and what becomes of it.
#[derive(Debug, Clone, PartialEq)]
struct Edit {
    path: Vec<String>,
    /// None leaves it to the default.
    value: Option<Value>,
}

/// Makes the changes, all or none.
pub async fn run(cluster: &Cluster, set: Config) -> Result<(), Failure> {
    let Config::Set { pool, changes, change: how } = set;
    let name = &pool.name;
    let edits: Vec<Edit> = changes.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    let changed = write::spec(cluster, name, how, |pool, spec| {
        edits.iter().try_for_each(|edit| apply(pool, spec, edit))
    })
    .await?;
    let object = serde_json::to_value(&changed).map_err(|error| Failure::Other(error.to_string()))?;
    let fields = count(edits.len() as u64, "field", "fields");
    let mut said = vec![format!("sessionpool/{name}: {fields} set{}", write::remark(how))];
    for edit in &edits {
        let value = edit.path.iter().fold(&object["spec"], |value, name| &value[name]);
        let value = if value.is_null() { "left to the default".to_owned() } else { value.to_string() };
        said.push(format!("  {}: {value}", edit.path.join(".")));
    }
    put(&lines(said))
}

fn apply(pool: &SessionPool, spec: &mut Map<String, Value>, edit: &Edit) -> Result<(), Failure> {
    let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
    let Some(value) = &edit.value else {
        if applied::remove(spec, &path) {
            return Ok(());
        }
        let object = serde_json::to_value(pool).map_err(|error| Failure::Other(error.to_string()))?;
        let field = path.join(".");
        return Err(Failure::Usage(match applied::managers(&object, &path).first() {
            Some(manager) => format!("{field} was set by {manager}, not by this plugin: take it back there"),
            None => format!("{field} is not set: the default applies already"),
        }));
    };
    applied::merge(spec, applied::field(&path, value.clone()));
    Ok(())
}

fn parse(text: &str) -> Result<Edit, Failure> {
    if let Some((field, value)) = text.split_once('=') {
        let (path, schema) = find(field)?;
        let value = typed(schema, value).map_err(|wanted| {
            Failure::Usage(format!("{} must be {wanted}, not {value:?}", path.join(".")))
        })?;
        return Ok(Edit { path, value: Some(value) });
    }
    match text.strip_suffix('-') {
        Some(field) => Ok(Edit { path: find(field)?.0, value: None }),
        None => Err(Failure::Usage(format!(
            "{text} is no change: write {text}=VALUE, or {text}- for the default"
        ))),
    }
}

/// The field's path as the API spells it, and its schema. `pool_max_size` and `spec.poolMaxSize` are understood, too.
fn find(field: &str) -> Result<(Vec<String>, &'static Value), Failure> {
    let field = field.strip_prefix("spec.").unwrap_or(field);
    let mut schema: &Value = &SPEC;
    let mut path = Vec::new();
    for part in field.split('.') {
        let camel = camel_case(part);
        schema = &schema["properties"][&camel];
        if schema.is_null() {
            return Err(Failure::Usage(unknown(field)));
        }
        path.push(camel);
    }
    Ok((path, schema))
}

fn unknown(field: &str) -> String {
    let wanted = field.split('.').map(camel_case).collect::<Vec<_>>().join(".");
    let distance = |known: &String| {
        let short = known.strip_prefix("pool").is_some_and(|rest| rest.eq_ignore_ascii_case(&wanted));
        if short { 0 } else { strsim::damerau_levenshtein(&known.to_lowercase(), &wanted.to_lowercase()) }
    };
    let near = fields().into_iter().map(|known| (distance(&known), known)).min();
    match near {
        Some((distance, known)) if distance <= (wanted.len() / 4).max(1) => {
            format!("a SessionPool has no field {field}; did you mean {known}?")
        }
        _ => format!("a SessionPool has no field {field}: `kubectl explain sessionpool.spec` tells them all"),
    }
}

/// Every field that holds a value.
pub fn fields() -> Vec<String> {
    let mut found = Vec::new();
    collect(&SPEC, "", &mut found);
    found
}

fn collect(schema: &Value, prefix: &str, found: &mut Vec<String>) {
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if schema["properties"].is_object() {
            collect(schema, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The values that a field may have, where they are few.
pub fn values(field: &str) -> Vec<String> {
    let Ok((_, schema)) = find(field) else { return Vec::new() };
    if schema["type"] == "boolean" {
        return vec!["true".to_owned(), "false".to_owned()];
    }
    let words = schema["enum"].as_array().into_iter().flatten();
    words.filter_map(|word| word.as_str().map(ToOwned::to_owned)).collect()
}

/// The value that a text means for a field; the error says what it should have been.
fn typed(schema: &Value, text: &str) -> Result<Value, String> {
    match schema["type"].as_str().unwrap_or_default() {
        "integer" => text.parse::<i64>().map(Value::from).map_err(|_| "a whole number".to_owned()),
        "boolean" => text.parse::<bool>().map(Value::from).map_err(|_| "true or false".to_owned()),
        "string" => {
            let words = schema["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
            let plain = |word: &str| word.replace('_', "").to_lowercase();
            let meant = words.iter().filter_map(Value::as_str).find(|word| plain(word) == plain(text));
            match meant {
                Some(word) => Ok(Value::from(word)),
                None if words.is_empty() => Ok(Value::from(text)),
                None => {
                    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                    Err(format!("one of {}", words.join(", ")))
                }
            }
        }
        _ => serde_yaml::from_str(text).map_err(|error| format!("YAML or JSON ({error})")),
    }
}

fn camel_case(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        camel.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        camel.extend(letters);
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(text: &str) -> Value {
        parse(text).unwrap().value.unwrap()
    }

    fn complaint(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn values_have_the_type_of_their_field() {
        assert_eq!(value("poolMaxSize=20"), json!(20));
        assert_eq!(value("pool_pre_ping=false"), json!(false));
        assert_eq!(value("poolStrategy=least_connections"), json!("LeastConnections"));
        assert_eq!(value("upstream.url=http://x/mcp?a=b"), json!("http://x/mcp?a=b"));
        assert_eq!(value("forwardHeaders=[X-Tenant]"), json!(["X-Tenant"]));
        assert_eq!(parse("spec.drain.timeoutSeconds=5").unwrap().path, ["drain", "timeoutSeconds"]);
        assert_eq!(parse("poolMaxSize-").unwrap().value, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(complaint("poolMaxSize=many"), "poolMaxSize must be a whole number, not \"many\"");
        assert!(complaint("poolStrategy=fast").contains("one of RoundRobin, LeastConnections"));
        assert!(complaint("poolMaxSzie=1").contains("did you mean poolMaxSize?"));
        assert!(complaint("maxSize=1").contains("did you mean poolMaxSize?"));
        assert!(complaint("poolMaxSize").contains("poolMaxSize=VALUE"));
        assert!(complaint("colour=red").contains("kubectl explain"));
    }

    #[test]
    fn what_others_set_is_not_taken_back() {
        let fields = json!({"f:spec": {"f:poolMaxSize": {}}});
        let pool: SessionPool = serde_json::from_value(json!({
            "metadata": {"name": "web", "managedFields": [
                {"manager": "argocd", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields}
            ]},
            "spec": {"poolMaxSize": 5, "upstream": {"url": "u"}}
        }))
        .unwrap();
        let edit = parse("poolMaxSize-").unwrap();
        let refused = apply(&pool, &mut Map::new(), &edit).unwrap_err().to_string();
        assert!(refused.contains("set by argocd"), "{refused}");
        let mut mine = Map::from_iter([("poolMaxSize".to_owned(), json!(9))]);
        apply(&pool, &mut mine, &edit).unwrap();
        assert!(mine.is_empty());
    }
}
