//! Who has a token, and what they may do: the API server is asked, and its answers are kept for a short time.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use crds::{
    names,
    rest::{Caller, Problem, Right},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use moka::future::Cache;

use crate::reconcile::observe::describe;

/// How long an answer is kept: a token that is withdrawn, or a right, counts no more after that.
const KEPT: Duration = Duration::from_secs(10);
/// Tokens whose owners are kept.
const MOST_TOKENS: u64 = 1024;
/// Decisions that are kept.
const MOST_DECISIONS: u64 = 8192;

/// Asks about tokens and rights.
pub struct Reviews {
    client: Client,
    /// By the tokens' hashes: a token itself is not kept.
    callers: Cache<[u8; 32], Option<Arc<Caller>>>,
    decisions: Cache<Question, bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    caller: Caller,
    right: Right,
    /// Every namespace if there is none.
    namespace: Option<String>,
    /// Every pool if there is none.
    name: Option<String>,
}

impl Reviews {
    /// Knows nothing yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            callers: Cache::builder().max_capacity(MOST_TOKENS).time_to_live(KEPT).build(),
            decisions: Cache::builder().max_capacity(MOST_DECISIONS).time_to_live(KEPT).build(),
        }
    }

    /// Who has a token.
    ///
    /// # Errors
    /// 401 when nobody has, 503 when nobody can be asked.
    pub async fn caller(&self, token: &str) -> Result<Arc<Caller>, Problem> {
        let hash: [u8; 32] = digest(&SHA256, token.as_bytes()).as_ref().try_into().unwrap_or_default();
        let known = self.callers.try_get_with(hash, self.review(token)).await;
        known.map_err(|problem| (*problem).clone())?.ok_or_else(|| {
            let detail = "the token is not good, or not any more: `kubectl create token` gives another";
            Problem::unauthenticated(detail)
        })
    }

    /// Whether a caller has a right, in a namespace or everywhere, to a pool or to all.
    ///
    /// # Errors
    /// 503 when nobody can be asked.
    pub async fn may(
        &self,
        caller: &Caller,
        right: Right,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<bool, Problem> {
        let question = Question {
            caller: caller.clone(),
            right,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.map(ToOwned::to_owned),
        };
        let decision = self.decisions.try_get_with(question.clone(), self.decide(question)).await;
        decision.map_err(|problem| (*problem).clone())
    }

    async fn review(&self, token: &str) -> Result<Option<Arc<Caller>>, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: None },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await.map_err(|error| away(&error))?;
        let status = review.status.filter(|status| status.authenticated == Some(true));
        let Some(user) = status.and_then(|status| status.user) else { return Ok(None) };
        let UserInfo { username, uid, groups, extra } = user;
        Ok(Some(Arc::new(Caller {
            user: username.unwrap_or_default(),
            uid,
            groups: groups.unwrap_or_default(),
            extra: extra.unwrap_or_default(),
        })))
    }

    async fn decide(&self, question: Question) -> Result<bool, Problem> {
        let Question { caller, right, namespace, name } = question;
        let (group, _) = names::API_VERSION.split_once('/').unwrap_or_default();
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(caller.user),
                uid: caller.uid,
                groups: Some(caller.groups),
                extra: Some(caller.extra),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(group.to_owned()),
                    resource: Some("sessionpools".to_owned()),
                    subresource: right.subresource().map(ToOwned::to_owned),
                    verb: Some(right.verb().to_owned()),
                    namespace,
                    name,
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = reviews.create(&PostParams::default(), &review).await.map_err(|error| away(&error))?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}

/// What callers are told when the API server gives no answer. Only the log says more than they need to know.
fn away(error: &kube::Error) -> Problem {
    tracing::warn!(error = %describe(error), "a caller of REST could not be reviewed");
    match error {
        kube::Error::Api(status) if status.is_forbidden() => Problem::unavailable(
            "the operator may not ask who you are: it needs the rights in operator/roles/api.yaml (api.enabled of the chart)",
        ),
        _ => Problem::unavailable("the API server, which knows who may do what, does not answer: try again"),
    }
}
