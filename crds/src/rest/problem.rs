//! What is said when a request can't be followed: problem details (RFC 9457).

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::id::ServerId;

/// Why a request was not followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema, thiserror::Error)]
#[error("{status} {title}: {detail}")]
pub struct Problem {
    /// Always about:blank: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and what to do about it.
    pub detail: String,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its name; empty where no single one can be named.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    /// A problem of a status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// The same with the fields that are wrong.
    #[must_use]
    pub fn with(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// 400: the request has the wrong form.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 401: nobody knows who asks.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403: the caller lacks a right.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 404: there is no such pool, or it is not the caller's to see.
    pub fn no_pool(id: &str) -> Self {
        let detail = format!(
            "there is no pool {id:?} that you may get: ids are <namespace>.<name>, and GET /api/servers lists them"
        );
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The same of an id.
    pub fn not_found(id: &ServerId) -> Self {
        Self::no_pool(&id.to_string())
    }

    /// 409: the pool's state stands against it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 422: values that are not taken.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let line = |error: &FieldError| match error.field.as_str() {
            "" => error.message.clone(),
            field => format!("{field}: {}", error.message),
        };
        let detail = errors.iter().map(line).collect::<Vec<_>>().join("; ");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail).with(errors)
    }

    /// 503: what is needed for an answer is away.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = serde_json::to_vec_pretty(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

/// What every request that names no pool may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its attributes are what is used")]
pub(super) enum Refused {
    /// No token, or none that is good.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// What is needed for an answer is away.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What every request about a pool may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its attributes are what is used")]
pub(super) enum PoolRefused {
    /// No token, or none that is good.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// There is no such pool, or the caller may not get it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// What is needed for an answer is away.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What every request that changes a pool may be answered with.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "its attributes are what is used")]
pub(super) enum WriteRefused {
    /// The request has the wrong form.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// No token, or none that is good.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// The caller lacks a right, which is named.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such pool, or the caller may not get it.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The pool's state stands against it, or it changed meanwhile.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// If-Match names another state of the configuration.
    #[response(status = 412, content_type = "application/problem+json")]
    Changed(Problem),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is of another type than JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
    /// A value is not taken.
    #[response(status = 422, content_type = "application/problem+json")]
    Invalid(Problem),
    /// What is needed for an answer is away.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
