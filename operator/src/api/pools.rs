//! What REST asks for, of pools on a cluster.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use crds::{
    SessionPool, Settings,
    optimize::{self, Advice, Parameters, Reason},
    rest::{
        Caller, Detail, History, Permissions, PoolConfig, Pools, Problem, ReplicaSession, Right, ServerId,
        Sessions, Stats, Summary, Write, word_of,
    },
    wire::SessionInfo,
};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;

use super::{Api, FRESH, id_of, numbers::Shot, write};
use crate::reconcile::observe;

/// Largest list of sessions that is read of one proxy, in bytes.
const SESSIONS_LIMIT: usize = 8 * 1024 * 1024;
/// Largest advice that is read of one proxy, in bytes.
const ADVICE_LIMIT: usize = 256 * 1024;
/// Pools of a list whose proxies are asked at once.
const AT_ONCE: usize = 64;
/// Numbers of pools in a list may be so old once there are many: the recording has them.
const FRESH_OF_MANY: Duration = Duration::from_secs(15);
/// So many pools are many.
const MANY: usize = 200;

#[async_trait]
impl Pools for Api {
    async fn authenticate(&self, token: &str) -> Result<Caller, Problem> {
        self.reviews.caller(token).await.map(|caller| (*caller).clone())
    }

    async fn may(&self, caller: &Caller, right: Right, id: &ServerId) -> Result<bool, Problem> {
        self.reviews.may(caller, right, Some(&id.namespace), Some(&id.name)).await
    }

    async fn list(&self, caller: &Caller) -> Result<Vec<Summary>, Problem> {
        self.known.ready().await?;
        let pools = self.visible(caller, self.known.pools()).await?;
        let mut pods = self.known.pods();
        let fresh = if pools.len() > MANY { FRESH_OF_MANY } else { FRESH };
        let summaries = stream::iter(pools)
            .map(|pool| {
                let id = id_of(&pool);
                let pods = pods.remove(&id).unwrap_or_default();
                async move {
                    let shot = self.numbers.of(&pool, &id, pods, fresh).await;
                    self.summary(&pool, &id).with(&shot.stats)
                }
            })
            .buffered(AT_ONCE);
        Ok(summaries.collect().await)
    }

    async fn detail(&self, id: &ServerId, permissions: Permissions) -> Result<Detail, Problem> {
        let pool = self.find(id).await?;
        let shot = self.shot(&pool, id).await;
        let summary = self.summary(&pool, id).with(&shot.stats);
        Ok(Detail::of(&pool, summary, shot.replicas.clone(), permissions))
    }

    async fn config(&self, id: &ServerId) -> Result<PoolConfig, Problem> {
        let pool = self.live(id).await?;
        Ok(PoolConfig::from(&self.effective(&pool)))
    }

    async fn write(&self, id: &ServerId, write: Write) -> Result<PoolConfig, Problem> {
        if !self.known.covers(&id.namespace) {
            return Err(Problem::not_found(id));
        }
        let config = |pool: &SessionPool| PoolConfig::from(&self.effective(pool));
        let pool = write::write(&self.client, id, &write, &self.defaults, config).await?;
        Ok(config(&pool))
    }

    async fn stats(&self, id: &ServerId) -> Result<Stats, Problem> {
        let pool = self.find(id).await?;
        let mut stats = self.shot(&pool, id).await.stats.clone();
        let effective = self.effective(&pool);
        let phase = pool.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
        stats.pool.pool_id = pool.metadata.uid.clone().unwrap_or_default();
        stats.pool.server_id = id.to_string();
        effective.pool_strategy.snake_case().clone_into(&mut stats.pool.strategy);
        word_of(phase).clone_into(&mut stats.pool.status);
        Ok(stats)
    }

    async fn sessions(&self, id: &ServerId) -> Result<Sessions, Problem> {
        let pool = self.find(id).await?;
        let sessions = self.sessions.get_with(id.clone(), self.ask_sessions(id_of(&pool))).await;
        Ok((*sessions).clone())
    }

    async fn history(&self, id: &ServerId) -> Result<History, Problem> {
        let pool = self.find(id).await?;
        Ok(self.numbers.history(&pool, id))
    }

    async fn advice(&self, id: &ServerId) -> Result<Advice, Problem> {
        let pool = self.find(id).await?;
        let advice = self.advice.get_with(id.clone(), self.ask_advice(&pool, id)).await;
        Ok((*advice).clone())
    }
}

impl Api {
    /// The pools of these that a caller may see.
    async fn visible(
        &self,
        caller: &Caller,
        pools: Vec<Arc<SessionPool>>,
    ) -> Result<Vec<Arc<SessionPool>>, Problem> {
        if self.reviews.may(caller, Right::List, None, None).await? {
            return Ok(pools);
        }
        let mut namespaces: HashMap<String, bool> =
            pools.iter().map(|pool| (id_of(pool).namespace, false)).collect();
        for (namespace, may) in &mut namespaces {
            *may = self.reviews.may(caller, Right::List, Some(namespace), None).await?;
        }
        let visible = |pool: &Arc<SessionPool>| namespaces.get(&id_of(pool).namespace) == Some(&true);
        Ok(pools.into_iter().filter(visible).collect())
    }

    fn summary(&self, pool: &SessionPool, id: &ServerId) -> Summary {
        Summary::of(pool, id, &self.effective(pool))
    }

    async fn shot(&self, pool: &SessionPool, id: &ServerId) -> Arc<Shot> {
        self.numbers.of(pool, id, self.known.pods_of(id), FRESH).await
    }

    async fn ask_sessions(&self, id: ServerId) -> Arc<Sessions> {
        let pods = self.known.pods_of(&id);
        let answers =
            observe::ask_at::<Vec<SessionInfo>>(pods, &self.stats, "/pool/sessions", SESSIONS_LIMIT);
        let mut all = Sessions { server_id: id.to_string(), ..Sessions::default() };
        for (replica, answer) in answers.await {
            match answer {
                Ok(sessions) => all.sessions.extend(
                    sessions.into_iter().map(|session| ReplicaSession { session, replica: replica.clone() }),
                ),
                Err(_) => all.unanswered.push(replica),
            }
        }
        Arc::new(all)
    }

    async fn ask_advice(&self, pool: &SessionPool, id: &ServerId) -> Arc<Advice> {
        let pods: Vec<Arc<Pod>> = self.known.pods_of(id);
        let answers = observe::ask_at::<Advice>(pods, &self.stats, "/pool/optimize", ADVICE_LIMIT).await;
        let advice: Vec<Advice> = answers.into_iter().filter_map(|(_, answer)| answer.ok()).collect();
        Arc::new(optimize::merge(advice.iter()).unwrap_or_else(|| self.no_advice(pool)))
    }

    /// What is said where no proxy says anything.
    fn no_advice(&self, pool: &SessionPool) -> Advice {
        let settings = Settings::resolve(&pool.spec, &self.defaults);
        let current = settings.map(|settings| Parameters::of(&settings, &pool.spec)).unwrap_or_default();
        let reason = Reason {
            code: "no_answer".to_owned(),
            parameter: None,
            message: "no proxy of the pool answers, so nothing is known of its traffic: see its conditions"
                .to_owned(),
        };
        Advice { recommended: current.clone(), current, reasons: vec![reason] }
    }
}
