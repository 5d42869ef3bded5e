//! Paths, status codes and the OpenAPI document.

mod asked;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::asked::{Asked, Body, IfNoneMatch, Writer};
use super::{
    access::{Permissions, Right},
    change::Change,
    config::{self, ConfigPatch, PoolConfig},
    field::Field,
    history::History,
    model::{Accepted, Detail, Servers, Sessions, Stats},
    operations::{self, DrainRequest},
    pools::Pools,
    problem::{FieldError, PoolRefused, Problem, Refused, WriteRefused},
};
use crate::{
    PoolStrategy,
    optimize::{Advice, Parameters},
};

/// The largest body that is taken, in bytes.
pub const MOST_BODY: usize = 16 * 1024;

/// What handlers share.
type Rest = Arc<dyn Pools>;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "sessionpool",
        description = "Pools of sessions to MCP servers: their parameters, statistics and operations. \
                       The operator serves all pools of a cluster, a proxy without Kubernetes its own."
    ),
    components(schemas(Problem, FieldError)),
    modifiers(&Bearer)
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = "A token of Kubernetes, as `kubectl create token` gives; of a proxy without Kubernetes the one in the \
                     file of --api-token-file.";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(token)).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(servers))
        .routes(routes!(server))
        .routes(routes!(get_config, put_config))
        .routes(routes!(stats))
        .routes(routes!(sessions))
        .routes(routes!(history))
        .routes(routes!(optimize))
        .routes(routes!(apply_advice))
        .routes(routes!(drain))
        .routes(routes!(resume))
        .routes(routes!(reset))
        .routes(routes!(document))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = routes().split_for_parts().1;
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document
}

/// REST over these pools. Whoever serves it bounds connections and time.
pub fn router(pools: Arc<dyn Pools>) -> Router {
    routes()
        .split_for_parts()
        .0
        .method_not_allowed_fallback(not_allowed)
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(axum::middleware::map_response(tidy))
        .with_state(pools)
}

/// Lists the pools that the caller may see.
#[utoipa::path(
    get, path = "/api/servers", security(("bearer" = [])),
    responses((status = 200, description = "The pools", body = Servers), Refused)
)]
async fn servers(State(rest): State<Rest>, headers: HeaderMap) -> Result<Response, Problem> {
    let caller = asked::caller(&rest, &headers).await?;
    let servers = rest.list(&caller).await?;
    Ok(json(StatusCode::OK, &Servers { servers }))
}

/// Tells everything about a pool.
#[utoipa::path(
    get, path = "/api/servers/{id}", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The pool", body = Detail), PoolRefused)
)]
async fn server(State(rest): State<Rest>, asked: Asked) -> Result<Response, Problem> {
    let Asked { caller, id } = asked;
    let update = rest.may(&caller, Right::Update, &id).await?;
    let operate = update && rest.may(&caller, Right::Operate, &id).await?;
    Ok(json(StatusCode::OK, &rest.detail(&id, Permissions { update, operate }).await?))
}

/// Tells the parameters in force.
#[utoipa::path(
    get, path = "/api/servers/{id}/pool/config", security(("bearer" = [])), params(asked::Id),
    responses(
        (status = 200, description = "The parameters", body = PoolConfig, headers(("ETag" = String, description = "Names this state of them"))),
        (status = 304, description = "They are those that If-None-Match names"),
        PoolRefused
    )
)]
async fn get_config(State(rest): State<Rest>, asked: Asked, known: IfNoneMatch) -> Result<Response, Problem> {
    let config = rest.config(&asked.id).await?;
    if known.names(&config.etag()) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        tag(&mut response, &config);
        return Ok(response);
    }
    Ok(tagged(&config))
}

/// Changes parameters; those that the body leaves out stay.
#[utoipa::path(
    put, path = "/api/servers/{id}/pool/config", security(("bearer" = [])),
    params(asked::Id, ("If-Match" = inline(Option<String>), Header, description = "Entity tags of the states that the change is meant for")),
    request_body = ConfigPatch,
    responses(
        (status = 200, description = "The parameters after the change", body = PoolConfig, headers(("ETag" = String, description = "Names this state of them"))),
        WriteRefused
    )
)]
async fn put_config(State(rest): State<Rest>, asked: Writer, body: Body) -> Result<Response, Problem> {
    let change = config::read(&body.0)?;
    let write = asked.write(&rest, change).await?;
    Ok(tagged(&rest.write(&asked.id, write).await?))
}

/// Tells the pool's statistics.
#[utoipa::path(
    get, path = "/api/servers/{id}/pool/stats", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The statistics", body = Stats), PoolRefused)
)]
async fn stats(State(rest): State<Rest>, asked: Asked) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &rest.stats(&asked.id).await?))
}

/// Lists the pool's sessions.
#[utoipa::path(
    get, path = "/api/servers/{id}/pool/sessions", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The sessions", body = Sessions), PoolRefused)
)]
async fn sessions(State(rest): State<Rest>, asked: Asked) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &rest.sessions(&asked.id).await?))
}

/// Tells what was in the last hour.
#[utoipa::path(
    get, path = "/api/servers/{id}/pool/history", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The last hour", body = History), PoolRefused)
)]
async fn history(State(rest): State<Rest>, asked: Asked) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &rest.history(&asked.id).await?))
}

/// Tells which parameters fit what was measured, and why.
#[utoipa::path(
    get, path = "/api/servers/{id}/pool/optimize", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The advice", body = Advice), PoolRefused)
)]
async fn optimize(State(rest): State<Rest>, asked: Asked) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &rest.advice(&asked.id).await?))
}

/// Makes the recommended parameters the pool's own, but for isolation, which is for people to decide.
#[utoipa::path(
    post, path = "/api/servers/{id}/pool/optimize/apply", security(("bearer" = [])), params(asked::Id),
    responses((status = 200, description = "The parameters after the change", body = PoolConfig), WriteRefused)
)]
async fn apply_advice(State(rest): State<Rest>, asked: Writer) -> Result<Response, Problem> {
    let advice = rest.advice(&asked.id).await?;
    let write = asked.write(&rest, advised(&advice)).await?;
    Ok(tagged(&rest.write(&asked.id, write).await?))
}

/// Drains the pool: running requests finish, new ones are refused until it is resumed.
#[utoipa::path(
    post, path = "/api/servers/{id}/pool/drain", security(("bearer" = [])), params(asked::Id),
    request_body(content = Option<DrainRequest>, description = "May be left out"),
    responses((status = 202, description = "The pool is being drained", body = Accepted), WriteRefused)
)]
async fn drain(State(rest): State<Rest>, asked: Writer, body: Body) -> Result<Response, Problem> {
    let request = operations::read(&body.0)?;
    let done = operate(&rest, &asked, Change::drain(request.timeout), "drain").await?;
    Ok(json(StatusCode::ACCEPTED, &Accepted { timeout: request.timeout, ..done }))
}

/// Ends a drain: the pool takes work again.
#[utoipa::path(
    post, path = "/api/servers/{id}/pool/resume", security(("bearer" = [])), params(asked::Id),
    responses((status = 202, description = "The pool takes work again", body = Accepted), WriteRefused)
)]
async fn resume(State(rest): State<Rest>, asked: Writer) -> Result<Response, Problem> {
    Ok(json(StatusCode::ACCEPTED, &operate(&rest, &asked, Change::resume(), "resume").await?))
}

/// Replaces every session: idle ones at once, busy ones after their call.
#[utoipa::path(
    post, path = "/api/servers/{id}/pool/reset", security(("bearer" = [])), params(asked::Id),
    responses((status = 202, description = "The sessions are being replaced", body = Accepted), WriteRefused)
)]
async fn reset(State(rest): State<Rest>, asked: Writer) -> Result<Response, Problem> {
    let token = operations::token(jiff::Timestamp::now());
    let done = operate(&rest, &asked, Change::reset(&token), "reset").await?;
    Ok(json(StatusCode::ACCEPTED, &Accepted { reset_token: Some(token), ..done }))
}

/// Tells what is written here.
#[utoipa::path(
    get, path = "/openapi.json",
    responses((status = 200, description = "This document", body = serde_json::Value))
)]
async fn document() -> Response {
    json(StatusCode::OK, &openapi())
}

async fn operate(rest: &Rest, asked: &Writer, change: Change, operation: &str) -> Result<Accepted, Problem> {
    let write = asked.write(rest, change).await?;
    rest.write(&asked.id, write).await?;
    Ok(Accepted {
        server_id: asked.id.to_string(),
        operation: operation.to_owned(),
        timeout: None,
        reset_token: None,
    })
}

/// What advice changes.
fn advised(advice: &Advice) -> Change {
    let (from, to) = (&advice.current, &advice.recommended);
    let mut change = Change::default();
    let numbers = |of: &Parameters| {
        [
            (Field::PoolMinSize, of.pool_min_size),
            (Field::PoolMaxSize, of.pool_max_size),
            (Field::PoolRecycleSeconds, of.pool_recycle_seconds),
            (Field::PoolMaxRequests, of.pool_max_requests),
        ]
    };
    for ((field, before), (_, after)) in numbers(from).into_iter().zip(numbers(to)) {
        if before != after {
            change.set(field, after);
        }
    }
    if from.pool_enabled != to.pool_enabled {
        change.set(Field::PoolEnabled, to.pool_enabled);
    }
    let strategy =
        PoolStrategy::of_snake_case(&to.pool_strategy).filter(|_| from.pool_strategy != to.pool_strategy);
    if let Some(strategy) = strategy.and_then(|strategy| serde_json::to_value(strategy).ok()) {
        change.set(Field::PoolStrategy, strategy);
    }
    change
}

async fn nothing(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}: GET /openapi.json tells what there is", uri.path());
    Problem::new(StatusCode::NOT_FOUND, detail)
}

async fn not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}: see the header Allow", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

/// Answers are for the caller alone, and what they are called.
async fn tidy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (status, kind, Bytes::from(body)).into_response()
        }
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn tagged(config: &PoolConfig) -> Response {
    let mut response = json(StatusCode::OK, config);
    tag(&mut response, config);
    response
}

fn tag(response: &mut Response, config: &PoolConfig) {
    if let Ok(tag) = HeaderValue::from_str(&config.etag()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_document_is_whole() {
        let document = serde_json::to_value(openapi()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference} leads nowhere");
        }
        let methods = document["paths"].as_object().unwrap().values();
        assert_eq!(methods.map(|path| path.as_object().unwrap().len()).sum::<usize>(), 12);
    }

    #[test]
    fn parameters_are_described_with_their_bounds() {
        let document = serde_json::to_value(openapi()).unwrap();
        let schemas = &document["components"]["schemas"];
        for schema in [&schemas["PoolConfig"], &schemas["ConfigPatch"]] {
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(properties.len(), Field::CONFIG.len());
            for field in Field::CONFIG {
                let described = field.bounds().is_none_or(|(least, most)| {
                    let property = &properties[field.name()];
                    (property["minimum"].as_i64(), property["maximum"].as_i64()) == (Some(least), Some(most))
                });
                assert!(described, "{field:?}: {:#}", properties[field.name()]);
            }
        }
        assert_eq!(schemas["ConfigPatch"]["additionalProperties"], false);
    }

    #[test]
    fn advice_becomes_a_change_of_what_differs() {
        let current =
            Parameters { pool_strategy: "round_robin".to_owned(), pool_max_size: 5, ..Parameters::default() };
        let recommended = Parameters {
            pool_strategy: "least_connections".to_owned(),
            pool_max_size: 9,
            isolation: "session".to_owned(),
            ..current.clone()
        };
        let change = advised(&Advice { current, recommended, reasons: Vec::new() });
        let mut spec = Value::Null;
        change.put_into(&mut spec);
        assert_eq!(spec, serde_json::json!({"poolMaxSize": 9, "poolStrategy": "LeastConnections"}));
    }
}
