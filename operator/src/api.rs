//! REST, which every operator serves, whether it acts on pools or waits for its turn. [`crds::rest`] has paths and rules;
//! here is what is behind them: [`known`] objects, [`reviews`] of callers, live [`numbers`], and the [`write`](mod@write).

pub mod known;
pub mod numbers;
mod pools;
pub mod record;
pub mod reviews;
pub mod serve;
pub mod write;

use std::{sync::Arc, time::Duration};

use crds::{
    EffectiveSettings, PoolDefaults, SessionPool,
    optimize::Advice,
    rest::{Problem, ServerId, Sessions},
};
use kube::{Client, ResourceExt};
use moka::future::Cache;
use tokio_util::sync::CancellationToken;

use self::{known::Known, numbers::Numbers, reviews::Reviews};
use crate::{advice, reconcile::observe::StatsClient};

/// How long what proxies told is good enough.
pub const FRESH: Duration = Duration::from_secs(2);
/// Pools whose sessions and advice are kept that long.
const KEPT: u64 = 256;

/// What REST answers from.
pub struct Api {
    client: Client,
    defaults: PoolDefaults,
    known: Known,
    reviews: Reviews,
    numbers: Arc<Numbers>,
    stats: StatsClient,
    sessions: Cache<ServerId, Arc<Sessions>>,
    advice: Cache<ServerId, Arc<Advice>>,
}

impl Api {
    /// Begins to follow pools and pods of the scopes, and to record their numbers, until `stop`.
    pub fn start(
        client: &Client,
        defaults: PoolDefaults,
        scopes: &[Option<String>],
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let stats = StatsClient::new();
        let known = Known::follow(client, scopes, stop);
        let numbers = Arc::new(Numbers::new(stats.clone()));
        tokio::spawn(record::run(known.clone(), Arc::clone(&numbers), stop.clone()));
        let reviews = Reviews::new(client.clone());
        let client = client.clone();
        Arc::new(Self {
            client,
            defaults,
            known,
            reviews,
            numbers,
            stats,
            sessions: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
            advice: Cache::builder().max_capacity(KEPT).time_to_live(FRESH).build(),
        })
    }

    /// The parameters in force.
    fn effective(&self, pool: &SessionPool) -> EffectiveSettings {
        let asked = EffectiveSettings::of(&pool.spec, &self.defaults);
        let recommendation = pool.status.as_ref().and_then(|status| status.recommendation.as_ref());
        advice::in_force(&pool.spec, &asked, recommendation)
    }

    /// A pool as the watch shows it, or as it is where that has not shown it yet.
    async fn find(&self, id: &ServerId) -> Result<Arc<SessionPool>, Problem> {
        self.known.ready().await?;
        match self.known.pool(id) {
            Some(pool) => Ok(pool),
            None => self.live(id).await.map(Arc::new),
        }
    }

    /// A pool as it is.
    async fn live(&self, id: &ServerId) -> Result<SessionPool, Problem> {
        if !self.known.covers(&id.namespace) {
            return Err(Problem::not_found(id));
        }
        write::get(&self.client, id).await
    }
}

/// The id of a pool.
fn id_of(pool: &SessionPool) -> ServerId {
    ServerId::new(pool.namespace().unwrap_or_default(), pool.name_any())
}
