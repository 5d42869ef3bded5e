//! What a request changes in a specification.

use serde_json::{Map, Value};

use super::{
    field::Field,
    problem::{FieldError, Problem},
};
use crate::{PoolDefaults, SessionPoolSpec, Settings, settings::SettingsError};

/// Fields with their new values, spelled as in a specification.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change(Vec<(Field, Value)>);

impl Change {
    /// A drain, with its time if that is to be another.
    pub fn drain(timeout: Option<i32>) -> Self {
        let mut change = Self::default();
        change.set(Field::DesiredState, "Drained");
        if let Some(timeout) = timeout {
            change.set(Field::DrainTimeout, timeout);
        }
        change
    }

    /// The end of a drain.
    pub fn resume() -> Self {
        let mut change = Self::default();
        change.set(Field::DesiredState, "Active");
        change
    }

    /// A reset.
    pub fn reset(token: &str) -> Self {
        let mut change = Self::default();
        change.set(Field::ResetToken, token);
        change
    }

    /// Adds a field, or gives it another value.
    pub fn set(&mut self, field: Field, value: impl Into<Value>) {
        self.0.retain(|(known, _)| *known != field);
        self.0.push((field, value.into()));
    }

    /// The fields and their values.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Value)> {
        self.0.iter().map(|(field, value)| (*field, value))
    }

    /// Whether it leaves all as it is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it may end sessions that are in use, which asks for the right to operate.
    pub fn may_stop(&self) -> bool {
        self.fields().any(|(field, value)| field.operates() || turns_off(field, value))
    }

    /// Whether it does so to a pool with this specification: what is off can't be turned off.
    pub(super) fn stops(&self, before: &SessionPoolSpec) -> bool {
        self.fields().any(|(field, value)| field.operates() || before.pool_enabled && turns_off(field, value))
    }

    /// Whether it asks for a reset.
    pub(super) fn resets(&self) -> bool {
        self.fields().any(|(field, _)| field == Field::ResetToken)
    }

    /// Puts the values into a specification that is JSON.
    pub fn put_into(&self, spec: &mut Value) {
        for (field, value) in self.fields() {
            put(spec, field.path(), value.clone());
        }
    }

    /// The specification that it makes of another, if that is one that the API server and the proxies take.
    ///
    /// # Errors
    /// 422 where values are not taken.
    pub fn apply(
        &self,
        before: &SessionPoolSpec,
        defaults: &PoolDefaults,
    ) -> Result<SessionPoolSpec, Problem> {
        let wrong = |error: &serde_json::Error| {
            Problem::invalid(vec![FieldError { field: String::new(), message: error.to_string() }])
        };
        let mut spec = serde_json::to_value(before).map_err(|error| wrong(&error))?;
        self.put_into(&mut spec);
        let after: SessionPoolSpec = serde_json::from_value(spec).map_err(|error| wrong(&error))?;
        let sizes = [Field::PoolMinSize, Field::PoolMaxSize];
        // What was wrong before is told by the status, and hinders nobody who changes something else.
        let about_sizes = self.fields().any(|(field, _)| sizes.contains(&field));
        match Settings::resolve(&after, defaults) {
            Err(SettingsError::MinOverMax { min, max }) if about_sizes => {
                let field = Field::PoolMinSize.name().to_owned();
                let message = format!(
                    "pool_min_size {min} would be greater than pool_max_size {max}; where one of them is not set the \
                     default applies: set both"
                );
                Err(Problem::invalid(vec![FieldError { field, message }]))
            }
            _ => Ok(after),
        }
    }
}

fn turns_off(field: Field, value: &Value) -> bool {
    field == Field::PoolEnabled && *value == Value::Bool(false)
}

fn put(into: &mut Value, path: &[&str], value: Value) {
    match path {
        [] => *into = value,
        [first, rest @ ..] => {
            if !into.is_object() {
                *into = Value::Object(Map::new());
            }
            put(&mut into[*first], rest, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(fields: &[(Field, Value)]) -> Change {
        let mut change = Change::default();
        for (field, value) in fields {
            change.set(*field, value.clone());
        }
        change
    }

    #[test]
    fn what_is_not_named_stays() {
        let before = SessionPoolSpec { pool_min_size: Some(2), pool_timeout: Some(5), ..Default::default() };
        let change = change(&[(Field::PoolMinSize, json!(3)), (Field::DrainTimeout, json!(7))]);
        let after = change.apply(&before, &PoolDefaults::built_in()).unwrap();
        assert_eq!((after.pool_min_size, after.pool_timeout), (Some(3), Some(5)));
        assert_eq!(after.drain.timeout_seconds, 7);
    }

    #[test]
    fn sizes_must_fit_with_the_defaults_in() {
        let defaults = PoolDefaults::built_in();
        let wrong = change(&[(Field::PoolMinSize, json!(11))]).apply(&SessionPoolSpec::default(), &defaults);
        let problem = wrong.unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.errors[0].field.as_str()), (422, "pool_min_size"));
        assert!(problem.detail.contains("pool_min_size 11 would be greater than pool_max_size 10"));
        let before = SessionPoolSpec { pool_min_size: Some(11), ..Default::default() };
        let other = change(&[(Field::PoolTimeout, json!(3))]);
        assert_eq!(other.apply(&before, &defaults).unwrap().pool_timeout, Some(3), "not its doing");
    }

    #[test]
    fn turning_off_what_is_off_stops_nothing() {
        let off = change(&[(Field::PoolEnabled, json!(false))]);
        let enabled = SessionPoolSpec { pool_enabled: true, ..Default::default() };
        assert!(off.may_stop() && off.stops(&enabled) && !off.stops(&SessionPoolSpec::default()));
        assert!(Change::resume().stops(&SessionPoolSpec::default()));
        assert!(!change(&[(Field::PoolEnabled, json!(true))]).may_stop());
    }
}
