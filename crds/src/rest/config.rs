//! The documented parameters, as they are answered and taken.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    body,
    change::Change,
    field::{Field, Kind},
    problem::{FieldError, Problem},
};
use crate::{EffectiveSettings, PoolStrategy};

/// The documented parameters in force, after defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolConfig {
    /// Whether sessions are pooled; else each client session has its own.
    pub pool_enabled: bool,
    /// How a request picks a session.
    #[schema(value_type = Strategy)]
    pub pool_strategy: String,
    /// Sessions that each proxy keeps open.
    #[schema(minimum = 0, maximum = 10_000)]
    pub pool_min_size: i32,
    /// Most sessions of each proxy.
    #[schema(minimum = 1, maximum = 10_000)]
    pub pool_max_size: i32,
    /// Seconds that a request waits for a session.
    #[schema(minimum = 1, maximum = 3600)]
    pub pool_timeout: i32,
    /// Age in seconds at which a session is replaced; 0 means never.
    #[schema(minimum = 0, maximum = 2_592_000)]
    pub pool_recycle_seconds: i32,
    /// Whether idle sessions are pinged before they are used.
    pub pool_pre_ping: bool,
}

/// How a request picks a session.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "its schema is what is used")]
pub(super) enum Strategy {
    /// In circular order.
    RoundRobin,
    /// The one that carries the fewest requests.
    LeastConnections,
    /// The one that the client used before.
    Sticky,
    /// The one that answers fastest for its load and weight.
    Weighted,
    /// One session for each client session.
    None,
}

/// Parameters that are to change; what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigPatch {
    /// Whether sessions are pooled. Turning it off needs the right to operate the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pool_enabled: Option<bool>,
    /// How a request picks a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Strategy)]
    pub pool_strategy: Option<String>,
    /// Sessions that each proxy keeps open; not greater than `pool_max_size`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 10_000)]
    pub pool_min_size: Option<i32>,
    /// Most sessions of each proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 10_000)]
    pub pool_max_size: Option<i32>,
    /// Seconds that a request waits for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 3600)]
    pub pool_timeout: Option<i32>,
    /// Age in seconds at which a session is replaced; 0 means never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 2_592_000)]
    pub pool_recycle_seconds: Option<i32>,
    /// Whether idle sessions are pinged before they are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub pool_pre_ping: Option<bool>,
}

impl PoolConfig {
    /// The entity tag: equal for equal parameters.
    pub fn etag(&self) -> String {
        let Self { pool_enabled, pool_strategy, pool_min_size, pool_max_size, .. } = self;
        let Self { pool_timeout, pool_recycle_seconds, pool_pre_ping, .. } = self;
        format!(
            "\"{pool_enabled}-{pool_strategy}-{pool_min_size}-{pool_max_size}-{pool_timeout}-{pool_recycle_seconds}-{pool_pre_ping}\""
        )
    }
}

impl From<&EffectiveSettings> for PoolConfig {
    fn from(settings: &EffectiveSettings) -> Self {
        Self {
            pool_enabled: settings.pool_enabled,
            pool_strategy: settings.pool_strategy.snake_case().to_owned(),
            pool_min_size: settings.pool_min_size,
            pool_max_size: settings.pool_max_size,
            pool_timeout: settings.pool_timeout,
            pool_recycle_seconds: settings.pool_recycle_seconds,
            pool_pre_ping: settings.pool_pre_ping,
        }
    }
}

/// Reads the body of `PUT .../pool/config`.
pub(super) fn read(body: &[u8]) -> Result<Change, Problem> {
    change(&body::object(body)?)
}

fn change(values: &Map<String, Value>) -> Result<Change, Problem> {
    let (mut change, mut wrong) = (Change::default(), Vec::new());
    body::known(values, &Field::CONFIG.map(Field::name))?;
    for field in Field::CONFIG {
        let Some(value) = values.get(field.name()) else { continue };
        match spec_value(field, value) {
            Ok(value) => change.set(field, value),
            Err(message) => wrong.push(FieldError { field: field.name().to_owned(), message }),
        }
    }
    if wrong.is_empty() { Ok(change) } else { Err(Problem::invalid(wrong)) }
}

/// The value as a specification spells it, or what is wrong with it.
pub(super) fn spec_value(field: Field, value: &Value) -> Result<Value, String> {
    match field.kind() {
        Kind::Flag if value.is_boolean() => Ok(value.clone()),
        Kind::Flag => Err(format!("must be true or false, not {value}")),
        Kind::Strategy => match value.as_str().and_then(PoolStrategy::of_snake_case) {
            Some(strategy) => serde_json::to_value(strategy).map_err(|error| error.to_string()),
            None => {
                Err(format!("must be round_robin, least_connections, sticky, weighted or none, not {value}"))
            }
        },
        Kind::Number(least, most) => match body::whole(value) {
            Some(number) if (i64::from(least)..=i64::from(most)).contains(&number) => Ok(number.into()),
            _ => Err(format!("must be a whole number from {least} to {most}, not {value}")),
        },
        Kind::Other => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: &Value) -> (u16, String) {
        let problem = read(body.to_string().as_bytes()).unwrap_err();
        (problem.status().as_u16(), problem.detail)
    }

    #[test]
    fn the_documented_body_is_taken() {
        let body = json!({
            "pool_enabled": true, "pool_strategy": "least_connections", "pool_min_size": 3, "pool_max_size": 10,
            "pool_timeout": 30, "pool_recycle_seconds": 3600, "pool_pre_ping": true
        });
        let change = read(body.to_string().as_bytes()).unwrap();
        let mut spec = json!({"upstream": {}});
        change.put_into(&mut spec);
        let wanted = json!({
            "poolEnabled": true, "poolStrategy": "LeastConnections", "poolMinSize": 3, "poolMaxSize": 10,
            "poolTimeout": 30, "poolRecycleSeconds": 3600, "poolPrePing": true, "upstream": {}
        });
        assert_eq!(spec, wanted);
        let typed: ConfigPatch = serde_json::from_value(body).unwrap();
        assert_eq!(typed.pool_timeout, Some(30));
        assert!(read(b"{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (status, detail) = refusal(&json!({"poolMinSize": 3}));
        assert_eq!(status, 400);
        assert!(detail.contains("unknown key \"poolMinSize\"; did you mean pool_min_size?"), "{detail}");
        assert!(refusal(&json!({"max_size": 3})).1.contains("did you mean pool_max_size?"));
        assert!(refusal(&json!({"pool_tiemout": 3})).1.contains("did you mean pool_timeout?"));
        assert!(refusal(&json!({"colour": 3})).1.contains("there are pool_enabled, pool_strategy"));
        let (status, detail) = refusal(&json!({"pool_timeout": 0, "pool_pre_ping": "yes"}));
        assert_eq!(status, 422);
        assert_eq!(
            detail,
            "pool_timeout: must be a whole number from 1 to 3600, not 0; pool_pre_ping: must be true or false, not \"yes\""
        );
        assert_eq!(refusal(&json!({"pool_strategy": "RoundRobin"})).0, 422);
        assert_eq!(refusal(&json!({"pool_min_size": 1.5})).0, 422);
        assert_eq!(refusal(&json!({"pool_min_size": null})).0, 422);
        assert_eq!(refusal(&json!([])).0, 400);
        assert_eq!(read(b"{\"pool_min_size\": ").unwrap_err().status().as_u16(), 400);
        assert_eq!(read(b"").unwrap_err().status().as_u16(), 400);
    }

    #[test]
    fn a_tag_tells_configurations_apart() {
        let one = PoolConfig::from(&EffectiveSettings::default());
        let other = PoolConfig { pool_timeout: 31, ..one.clone() };
        assert_ne!(one.etag(), other.etag());
        assert!(one.etag().starts_with('"') && one.etag().ends_with('"'));
    }
}
