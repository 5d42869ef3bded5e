//! Requests of clients that share sessions and mean the session, not the server: they are answered here, for each client by
//! itself.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Gateway, audience::Audience, control, trouble};
use crate::{
    config::Config,
    downstream::{
        client::ClientSession,
        reply::{self, Reply},
    },
    mcp::{
        Message,
        envelope::Params,
        error::{code, error, result},
        logging,
        rewrite::{Edit, rewrite},
    },
    upstream::{SessionKey, UpstreamSession},
};

impl Gateway {
    /// The audience that a client of a shared key belongs to.
    pub(super) fn audience(&self, client: &Arc<ClientSession>, key: &SessionKey) -> Arc<Audience> {
        if let Some(audience) = client.audience.load_full().filter(|audience| audience.key == *key) {
            return audience;
        }
        Self::leave(client);
        let audience = self.audiences.of(key);
        audience.join(client);
        audience.listen(client.claims.id, client.is_listening());
        client.audience.store(Some(Arc::clone(&audience)));
        audience
    }

    /// Takes a client out of its audience.
    pub(super) fn leave(client: &ClientSession) {
        let Some(audience) = client.audience.swap(None) else { return };
        let orphaned = audience.leave(client.claims.id);
        let control = audience.control.borrow().clone();
        if let Some(session) = control.filter(|_| !orphaned.is_empty()) {
            tokio::spawn(async move {
                for uri in orphaned {
                    control::subscribe(&session, "resources/unsubscribe", &uri).await;
                }
            });
        }
    }

    /// `logging/setLevel`: a shared session's level is everyone's, so each client's own is kept here.
    pub(super) fn set_level(
        &self,
        client: &Arc<ClientSession>,
        key: &SessionKey,
        id: &str,
        params: Option<&RawValue>,
    ) -> Response<Reply> {
        let severity = Params::parse(params).level.and_then(|level| logging::severity(&level));
        let body = if let Some(severity) = severity {
            self.audience(client, key).wish(client.claims.id, severity);
            result(id, "{}")
        } else {
            let message = format!("logging/setLevel needs params with level, one of {}", logging::list());
            error(Some(id), code::INVALID_PARAMS, &message, None)
        };
        reply::json(StatusCode::OK, body)
    }

    /// `logging/setLevel` of a client that has a slot of its own by now: what it wished for before holds no longer.
    pub(super) fn note_level(client: &ClientSession, params: Option<&RawValue>) {
        let severity = Params::parse(params).level.and_then(|level| logging::severity(&level));
        if let (Some(audience), Some(severity)) = (client.audience.load_full(), severity) {
            audience.wish(client.claims.id, severity);
        }
    }

    /// `resources/subscribe` and `resources/unsubscribe`: the control session is subscribed once for all.
    pub(super) async fn subscription(
        self: &Arc<Self>,
        config: &Config,
        client: &Arc<ClientSession>,
        key: &SessionKey,
        id: &str,
        method: &str,
        params: Option<&RawValue>,
    ) -> Response<Reply> {
        let Some(uri) = Params::parse(params).uri else {
            let message = format!("{method} needs params with uri");
            return reply::json(StatusCode::OK, error(Some(id), code::INVALID_PARAMS, &message, None));
        };
        if self.is_draining() {
            return trouble::draining(self, Some(id));
        }
        let audience = self.audience(client, key);
        let me = client.claims.id;
        let first = if method == "resources/subscribe" {
            audience.subscribe(me, &uri)
        } else {
            audience.unsubscribe(me, &uri)
        };
        self.control(&audience);
        if !first {
            return reply::json(StatusCode::OK, result(id, "{}"));
        }
        let answer = match self.control_session(config, &audience).await {
            Some(session) => control::request(&session, method, control::text(params)).await,
            None => None,
        };
        let taken = answer.as_ref().is_some_and(|answer| is_result(answer));
        if !taken && method == "resources/subscribe" {
            audience.unsubscribe(me, &uri);
        }
        match answer {
            Some(answer) => reply::json(StatusCode::OK, with_id(&answer, id)),
            None => {
                let message = "the server can't be asked for it at present; this request was not executed";
                trouble::unavailable(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Some(id),
                    message,
                    "upstream_unreachable",
                    None,
                )
            }
        }
    }

    /// The control session, once there is one.
    async fn control_session(&self, config: &Config, audience: &Audience) -> Option<Arc<UpstreamSession>> {
        let deadline = Instant::now() + config.settings.timeout;
        let mut control = audience.control.subscribe();
        let found = tokio::time::timeout_at(deadline, control.wait_for(Option::is_some)).await;
        found.ok()?.ok()?.clone()
    }
}

fn is_result(answer: &[u8]) -> bool {
    matches!(Message::parse(answer), Ok(Message::Response { result: Some(_), .. }))
}

fn with_id(answer: &Bytes, id: &str) -> Bytes {
    match Message::parse(answer) {
        Ok(Message::Response { id: old, .. }) if old != "null" => {
            rewrite(answer, &mut [Edit { old, new: id }])
        }
        _ => answer.clone(),
    }
}
