//! Reading a pool as it is, and changing it by server-side apply.

use std::time::Duration;

use crds::{
    PoolDefaults, SessionPool, applied, names,
    rest::{Change, Field, FieldError, PoolConfig, Problem, ServerId, Write},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::Status,
};
use serde_json::{Value, json};

use crate::reconcile::observe::describe;

/// How often a change is tried again when the pool changed meanwhile.
const ATTEMPTS: u32 = 8;
/// The first pause before that; each is longer than the one before.
const PAUSE: Duration = Duration::from_millis(10);

/// A pool as it is.
///
/// # Errors
/// 404 when it is not there, 503 when the API server does not answer.
pub async fn get(client: &Client, id: &ServerId) -> Result<SessionPool, Problem> {
    let pools: Api<SessionPool> = Api::namespaced(client.clone(), &id.namespace);
    pools.get(&id.name).await.map_err(|error| match &error {
        // An operator that looks after some namespaces may not look into others.
        kube::Error::Api(status) if status.is_not_found() || status.is_forbidden() => Problem::not_found(id),
        _ => refused(&error, id),
    })
}

/// Changes a pool; `config` tells the parameters in force. Gives the pool as it is then.
///
/// # Errors
/// What [`Write::follow`] refuses, what the API server does, 409 when others change the pool again and again.
pub async fn write(
    client: &Client,
    id: &ServerId,
    write: &Write,
    defaults: &PoolDefaults,
    config: impl Fn(&SessionPool) -> PoolConfig,
) -> Result<SessionPool, Problem> {
    let pools: Api<SessionPool> = Api::namespaced(client.clone(), &id.namespace);
    let params = PatchParams::apply(names::API_FIELD_MANAGER).force();
    for attempt in 0..ATTEMPTS {
        let pool = get(client, id).await?;
        let after = write.follow(&pool.spec, &config(&pool), defaults, id)?;
        if after == pool.spec {
            return Ok(pool);
        }
        let object = json!({
            "apiVersion": names::API_VERSION,
            "kind": names::KIND,
            "metadata": {"name": id.name, "resourceVersion": pool.metadata.resource_version},
            "spec": applied(&pool, &write.change)
        });
        match pools.patch(&id.name, &params, &Patch::Apply(&object)).await {
            Ok(pool) => return Ok(pool),
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            Err(error) => return Err(refused(&error, id)),
        }
        tokio::time::sleep(PAUSE * (1 << attempt)).await;
    }
    Err(Problem::conflict("others change the pool all the time: try again"))
}

/// What is applied: the change, and what was applied before, since whoever applies less gives the rest up.
fn applied(pool: &SessionPool, change: &Change) -> Value {
    let object = serde_json::to_value(pool).unwrap_or_default();
    let mut spec = Value::Object(applied::spec_of(&object, names::API_FIELD_MANAGER));
    change.put_into(&mut spec);
    spec
}

/// What callers are told of an answer of the API server.
fn refused(error: &kube::Error, id: &ServerId) -> Problem {
    match error {
        kube::Error::Api(status) if status.is_not_found() => Problem::not_found(id),
        kube::Error::Api(status) if status.is_forbidden() => Problem::forbidden(status.message.clone()),
        kube::Error::Api(status) if status.is_invalid() => invalid(status),
        kube::Error::Api(status) if status.code == 400 => {
            Problem::invalid(vec![FieldError { field: String::new(), message: status.message.clone() }])
        }
        _ => {
            tracing::warn!(pool = %id, error = %describe(error), "the API server did not answer REST");
            Problem::unavailable("the API server does not answer: try again")
        }
    }
}

/// The sentences of the definition's rules, by the names of REST.
fn invalid(status: &Status) -> Problem {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut errors: Vec<FieldError> = causes
        .map(|cause| FieldError { field: Field::name_at(&cause.field), message: plain(&cause.message) })
        .collect();
    if errors.is_empty() {
        errors.push(FieldError { field: String::new(), message: status.message.clone() });
    }
    Problem::invalid(errors)
}

/// A rule's own sentence: the API server puts the kind of the value before it.
fn plain(message: &str) -> String {
    let rule = message.strip_prefix("Invalid value: ").and_then(|rest| rest.split_once(": "));
    rule.map_or(message, |(_, sentence)| sentence).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(spec: &Value, entries: &Value) -> SessionPool {
        let mut spec = spec.clone();
        spec["upstream"] = json!({"url": "http://a/mcp"});
        let object = json!({
            "apiVersion": names::API_VERSION, "kind": names::KIND,
            "metadata": {"name": "a", "managedFields": entries}, "spec": spec
        });
        serde_json::from_value(object).unwrap()
    }

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}})
    }

    #[test]
    fn what_was_applied_before_is_applied_again() {
        let fields = json!({"f:poolMinSize": {}, "f:drain": {"f:timeoutSeconds": {}}});
        let entries = json!([
            entry("sessionpool-api", "Apply", &fields),
            entry("argocd", "Apply", &json!({"f:poolTimeout": {}})),
            entry("sessionpool-api", "Update", &json!({"f:poolRecycleSeconds": {}})),
        ]);
        let spec = json!({"poolMinSize": 2, "poolTimeout": 9, "poolRecycleSeconds": 5, "drain": {"timeoutSeconds": 7}});
        let mut change = Change::default();
        change.set(Field::PoolMaxSize, 12);
        let wanted = json!({"poolMinSize": 2, "poolMaxSize": 12, "drain": {"timeoutSeconds": 7}});
        assert_eq!(applied(&pool(&spec, &entries), &change), wanted);
        change.set(Field::PoolMinSize, 1);
        assert_eq!(applied(&pool(&spec, &entries), &change)["poolMinSize"], 1);
    }

    #[test]
    fn a_rules_sentence_is_told() {
        let said = "Invalid value: \"object\": sticky is read by poolStrategy Sticky only: set poolStrategy to Sticky";
        assert_eq!(plain(said), "sticky is read by poolStrategy Sticky only: set poolStrategy to Sticky");
        assert_eq!(plain("Too many"), "Too many");
    }
}
