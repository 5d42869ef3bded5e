//! What a request says before its body: who asks, for which pool, under which condition.

use axum::{
    RequestPartsExt,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use utoipa::IntoParams;

use super::{
    super::{
        access::{Caller, Right},
        change::Change,
        id::ServerId,
        pools::{IfMatch, Write, lacking},
        problem::Problem,
    },
    Rest,
};

/// The pool's id in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "its attributes are what is used")]
pub(super) struct Id {
    /// The pool: `<namespace>.<name>`.
    #[param(example = "default.everything")]
    id: String,
}

/// Who asks.
pub(super) async fn caller(rest: &Rest, headers: &HeaderMap) -> Result<Caller, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        let detail = "send a token: Authorization: Bearer <token>; `kubectl create token` gives one";
        return Err(Problem::unauthenticated(detail));
    };
    let token = value.to_str().ok().and_then(|value| value.split_once(' '));
    match token.filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()) {
        Some((_, token)) => rest.authenticate(token.trim()).await,
        None => Err(Problem::unauthenticated("the header must be Authorization: Bearer <token>")),
    }
}

/// A caller that may get the pool that they ask for.
pub(super) struct Asked {
    pub caller: Caller,
    pub id: ServerId,
}

impl FromRequestParts<Rest> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Problem> {
        let caller = caller(rest, &parts.headers).await?;
        let path: Result<Path<String>, _> = parts.extract().await;
        let text = path.map(|Path(id)| id).unwrap_or_default();
        let Ok(id) = text.parse::<ServerId>() else { return Err(Problem::no_pool(&text)) };
        if rest.may(&caller, Right::Get, &id).await? {
            Ok(Self { caller, id })
        } else {
            Err(Problem::not_found(&id))
        }
    }
}

/// A caller that may change the pool that they ask for.
pub(super) struct Writer {
    caller: Caller,
    pub id: ServerId,
    if_match: Option<IfMatch>,
}

impl Writer {
    /// The change as this caller may make it.
    pub(super) async fn write(&self, rest: &Rest, change: Change) -> Result<Write, Problem> {
        let may_operate = change.may_stop() && rest.may(&self.caller, Right::Operate, &self.id).await?;
        Ok(Write { change, if_match: self.if_match.clone(), may_operate })
    }
}

impl FromRequestParts<Rest> for Writer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, rest: &Rest) -> Result<Self, Problem> {
        let Asked { caller, id } = Asked::from_request_parts(parts, rest).await?;
        if !rest.may(&caller, Right::Update, &id).await? {
            return Err(lacking(Right::Update, &id));
        }
        let tags = text(&parts.headers, &header::IF_MATCH);
        Ok(Self { caller, id, if_match: tags.map(IfMatch::new) })
    }
}

/// The states that the caller knows.
pub(super) struct IfNoneMatch(Option<IfMatch>);

impl IfNoneMatch {
    pub(super) fn names(&self, etag: &str) -> bool {
        self.0.as_ref().is_some_and(|tags| tags.names(etag))
    }
}

impl FromRequestParts<Rest> for IfNoneMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Rest) -> Result<Self, Problem> {
        Ok(Self(text(&parts.headers, &header::IF_NONE_MATCH).map(IfMatch::new)))
    }
}

/// All values of a header as one. What is no text stays there as something that nothing is equal to.
fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// A body that is JSON, or empty.
pub(super) struct Body(pub Bytes);

impl FromRequest<Rest> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Problem> {
        let kind = text(request.headers(), &header::CONTENT_TYPE).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        // curl calls what it sends a form unless it is told otherwise.
        let is_json = ["", "application/json", "application/x-www-form-urlencoded"].contains(&kind.as_str())
            || kind.starts_with("application/") && kind.ends_with("+json");
        if !is_json {
            let detail = format!("the body must be application/json, not {kind}");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        Bytes::from_request(request, rest).await.map(Self).map_err(|refused| {
            let detail = match refused.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("the body must have at most {} bytes", super::MOST_BODY)
                }
                _ => refused.body_text(),
            };
            Problem::new(refused.status(), detail)
        })
    }
}
