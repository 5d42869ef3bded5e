//! `config`: the parameters in force, and where each comes from.

use crds::{EffectiveSettings, OptimizationMode, PoolDefaults, SessionPool, applied};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::Printed,
    connect::Cluster,
    failure::Failure,
    output::{print, table},
    pools,
};

/// A parameter.
#[derive(Debug, Serialize)]
pub struct Parameter {
    name: String,
    value: Value,
    source: Source,
    /// Who set it, where the specification does; the last first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    managers: Vec<String>,
    /// What the specification or the default asks for, where advice is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<Value>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Source {
    /// The specification.
    Spec,
    /// The operator's POOL_* variable.
    OperatorDefault,
    /// What applies where nobody says anything.
    Default,
    /// Advice, which `optimization.mode: Auto` applies.
    Advice,
    /// The operator has not said it yet, and the specification does not.
    Unknown,
}

/// Shows them.
pub async fn run(cluster: &Cluster, name: &str, printed: Printed) -> Result<(), Failure> {
    let pool = pools::get(cluster, name).await?;
    let parameters = parameters(&pool)?;
    print(printed.output, &parameters, |parameters| {
        let rows: Vec<Vec<String>> = parameters.iter().map(row).collect();
        let mut text = table("", &["PARAMETER", "VALUE", "FROM"], &rows);
        if pool.status.as_ref().and_then(|status| status.observed_generation) < pool.metadata.generation {
            text += "the operator has not seen the newest specification yet\n";
        }
        text
    })
}

fn row(parameter: &Parameter) -> Vec<String> {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let by = parameter.managers.first().map(|manager| format!(", set by {manager}")).unwrap_or_default();
    let from = match parameter.source {
        Source::Spec => format!("spec{by}"),
        Source::OperatorDefault => {
            "operator default (POOL_* variables, poolDefaults of the chart)".to_owned()
        }
        Source::Default => "default".to_owned(),
        Source::Advice => {
            let asked = parameter.asked.as_ref().map(plain).unwrap_or_default();
            format!("advice (optimization.mode Auto); without it {asked}")
        }
        Source::Unknown => "the operator has not said yet".to_owned(),
    };
    vec![parameter.name.clone(), plain(&parameter.value), from]
}

fn parameters(pool: &SessionPool) -> Result<Vec<Parameter>, Failure> {
    let object = serde_json::to_value(pool).map_err(|error| Failure::Other(error.to_string()))?;
    let effective = pool.status.as_ref().and_then(|status| status.effective.clone());
    let in_force = serde_json::to_value(&effective).unwrap_or_default();
    let built_in = EffectiveSettings::of(&pool.spec, &PoolDefaults::built_in());
    let built_in = serde_json::to_value(built_in).unwrap_or_default();
    let names =
        built_in.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let mut parameters: Vec<Parameter> =
        names.iter().map(|name| parameter(pool, &object, &in_force, &built_in, name)).collect();
    // As they are documented.
    let order = ["poolEnabled", "poolStrategy", "poolMinSize", "poolMaxSize", "poolTimeout"];
    parameters.sort_by_key(|parameter| {
        order.iter().position(|name| *name == parameter.name).unwrap_or(order.len())
    });
    Ok(parameters)
}

fn parameter(
    pool: &SessionPool,
    object: &Value,
    in_force: &Value,
    built_in: &Value,
    name: &str,
) -> Parameter {
    let managers = applied::managers(object, &[name]);
    let asked = &object["spec"][name];
    // The API server fills these in where nobody said anything.
    let filled_in = matches!(name, "poolEnabled" | "poolStrategy") && managers.is_empty();
    let current = &in_force[name];
    let said = !asked.is_null() && !filled_in;
    let source = if current.is_null() {
        if said || filled_in { Source::Spec } else { Source::Unknown }
    } else if is_advised(pool, current, name) {
        Source::Advice
    } else if said {
        Source::Spec
    } else if filled_in || current == &built_in[name] {
        Source::Default
    } else {
        Source::OperatorDefault
    };
    let value = [current, asked, &built_in[name]].into_iter().find(|value| !value.is_null());
    Parameter {
        name: name.to_owned(),
        value: value.cloned().unwrap_or_default(),
        source,
        managers: if said { managers } else { Vec::new() },
        asked: (source == Source::Advice).then(|| basis(pool, name)).flatten(),
    }
}

/// Whether what is in force differs from what was asked for when the advice was given.
fn is_advised(pool: &SessionPool, current: &Value, name: &str) -> bool {
    pool.spec.optimization.mode == OptimizationMode::Auto
        && basis(pool, name).is_some_and(|asked| asked != *current)
}

fn basis(pool: &SessionPool, name: &str) -> Option<Value> {
    let advice = pool.status.as_ref()?.recommendation.as_ref()?;
    serde_json::to_value(advice.basis).ok()?.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool() -> SessionPool {
        let fields = json!({"f:spec": {"f:poolMaxSize": {}, "f:poolEnabled": {}}});
        serde_json::from_value(json!({
            "metadata": {"name": "web", "managedFields": [
                {"manager": "argocd", "operation": "Apply", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields}
            ]},
            "spec": {
                "poolEnabled": true, "poolMaxSize": 5, "upstream": {"url": "u"}, "optimization": {"mode": "Auto"}
            },
            "status": {
                "effective": {
                    "poolEnabled": true, "poolStrategy": "RoundRobin", "poolMinSize": 1, "poolMaxSize": 8,
                    "poolTimeout": 12, "poolRecycleSeconds": 3600, "poolPrePing": true
                },
                "recommendation": {
                    "poolStrategy": "RoundRobin", "poolMinSize": 1, "poolMaxSize": 8, "reason": "TimeOuts",
                    "message": "", "basis": {"poolStrategy": "RoundRobin", "poolMinSize": 1, "poolMaxSize": 5}
                }
            }
        }))
        .unwrap()
    }

    #[test]
    fn each_value_tells_where_it_comes_from() {
        let found = parameters(&pool()).unwrap();
        let sources: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.source)).collect();
        assert_eq!(
            sources,
            [
                ("poolEnabled", Source::Spec),
                ("poolStrategy", Source::Default),
                ("poolMinSize", Source::Default),
                ("poolMaxSize", Source::Advice),
                ("poolTimeout", Source::OperatorDefault),
                ("poolPrePing", Source::Default),
                ("poolRecycleSeconds", Source::Default),
            ]
        );
        assert_eq!((&found[3].value, &found[3].asked), (&json!(8), &Some(json!(5))));
        assert_eq!(found[0].managers, ["argocd"]);
    }
}
