//! The body of a drain.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    body,
    config::spec_value,
    field::Field,
    problem::{FieldError, Problem},
};

/// How a drain runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Seconds that running requests have before the rest is closed; without it what the pool is set to, 60 unless changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 86_400)]
    pub timeout: Option<i32>,
}

/// Reads the body of `POST .../pool/drain`, which may be empty.
pub(super) fn read(body: &[u8]) -> Result<DrainRequest, Problem> {
    // Nothing can be said by null, too.
    if matches!(body.trim_ascii(), b"" | b"null") {
        return Ok(DrainRequest::default());
    }
    let values = body::object(body)?;
    body::known(&values, &[Field::DrainTimeout.name()])?;
    let Some(value) = values.get(Field::DrainTimeout.name()) else { return Ok(DrainRequest::default()) };
    let number = spec_value(Field::DrainTimeout, value).map_err(|message| {
        Problem::invalid(vec![FieldError { field: Field::DrainTimeout.name().to_owned(), message }])
    })?;
    Ok(DrainRequest { timeout: number.as_i64().and_then(|number| i32::try_from(number).ok()) })
}

/// A new token for a reset: it tells people who asked and when. Without the word YAML would take it for a time.
pub(super) fn token(now: jiff::Timestamp) -> String {
    format!("rest-{now:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_may_be_left_out() {
        assert_eq!(read(b"").unwrap().timeout, None);
        assert_eq!(read(b"{}").unwrap().timeout, None);
        assert_eq!(read(b" null\n").unwrap().timeout, None);
        assert_eq!(read(br#"{"timeout": 60}"#).unwrap().timeout, Some(60));
        assert_eq!(read(br#"{"timeout": -1}"#).unwrap_err().status().as_u16(), 422);
        assert_eq!(read(br#"{"timeout": null}"#).unwrap_err().status().as_u16(), 422);
        let unknown = read(br#"{"time_out": 60}"#).unwrap_err();
        assert!(unknown.detail.contains("did you mean timeout?") && unknown.status().as_u16() == 400);
    }
}
