//! Leadership: of several operators one acts. The others wait until it ends, or is not heard of for too long.
//!
//! The rules are those of Kubernetes' own controllers: whoever holds a Lease renews it, gives up before others may take
//! it, and writes with the version it has read. Times are measured on each operator's own clock, so clocks need not
//! agree. <https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>

mod record;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as Stored;
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout_at};

use self::record::{Record, Watched};
use crate::metrics::Metrics;

/// Others may take a lease that was not renewed for so long.
const DURATION: Duration = Duration::from_secs(12);
/// A holder that could not renew for so long gives up.
const GIVE_UP: Duration = Duration::from_secs(8);
/// Time between two looks at it, or two renewals.
const PERIOD: Duration = Duration::from_secs(2);

/// Which lease an operator asks for.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who asks. A process that is started again under the name of one that is certainly gone goes on at once.
    pub identity: String,
}

/// The right to act on pools, as long as [`Self::lost`] has not returned.
#[derive(Debug)]
pub struct Lease {
    held: Option<Held>,
    metrics: Metrics,
}

#[derive(Debug)]
struct Held {
    api: Api<Stored>,
    claim: Claim,
    stored: Stored,
    renewed: Instant,
}

impl Lease {
    /// Waits until this process may act. Without a claim it acts alone.
    pub async fn acquire(client: &Client, claim: Option<Claim>, metrics: &Metrics) -> Self {
        let held = match claim {
            None => None,
            Some(claim) => Some(Held::acquire(client, claim).await),
        };
        metrics.leader.set(1);
        Self { held, metrics: metrics.clone() }
    }

    /// Renews the lease, and returns when another process may act: the caller must end then.
    pub async fn lost(&mut self) {
        match &mut self.held {
            None => std::future::pending().await,
            Some(held) => held.keep().await,
        }
        self.metrics.leader.set(0);
    }

    /// Gives the lease to whoever waits, instead of letting it run out. Nothing may be acted on after that.
    pub async fn release(self) {
        self.metrics.leader.set(0);
        if let Some(held) = self.held {
            held.release().await;
        }
    }
}

impl Held {
    async fn acquire(client: &Client, claim: Claim) -> Self {
        let api: Api<Stored> = Api::namespaced(client.clone(), &claim.namespace);
        let mut watched = Watched::default();
        loop {
            let asked = Instant::now();
            match attempt(&api, &claim, &mut watched).await {
                Ok(Some(stored)) => {
                    tracing::info!(identity = claim.identity, lease = claim.name, "leading");
                    return Self { api, claim, stored, renewed: asked };
                }
                Ok(None) => {}
                // Somebody was quicker.
                Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {}
                Err(error) => {
                    tracing::warn!(%error, lease = claim.name, "the lease could not be read or taken");
                }
            }
            sleep(PERIOD.mul_f64(0.75 + 0.5 * fastrand::f64())).await;
        }
    }

    async fn keep(&mut self) {
        loop {
            sleep(PERIOD).await;
            let asked = Instant::now();
            let until = self.renewed + GIVE_UP;
            match timeout_at(until, self.renew()).await {
                Ok(Ok(true)) => self.renewed = asked,
                Ok(Ok(false)) => {
                    tracing::error!("another operator took the lease");
                    return;
                }
                Ok(Err(error)) if Instant::now() < until => {
                    tracing::warn!(%error, "the lease could not be renewed");
                }
                Ok(Err(_)) | Err(_) => {
                    tracing::error!(seconds = GIVE_UP.as_secs(), "the lease could not be renewed in time");
                    return;
                }
            }
        }
    }

    /// Whether the lease is still ours, renewed.
    async fn renew(&mut self) -> kube::Result<bool> {
        let wanted = Record::renewed(&self.claim.identity, Timestamp::now(), DURATION, &self.stored);
        match self.api.replace(&self.claim.name, &PostParams::default(), &wanted).await {
            Ok(stored) => self.stored = stored,
            // It was written by somebody, which may be our own write whose answer was lost.
            Err(kube::Error::Api(status)) if status.is_conflict() => {
                self.stored = self.api.get(&self.claim.name).await?;
                return Ok(Record::of(&self.stored).is_of(&self.claim.identity));
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    async fn release(self) {
        if !Record::of(&self.stored).is_of(&self.claim.identity) {
            return;
        }
        let wanted = Record::free(Timestamp::now(), &self.stored);
        let (limit, params) = (Instant::now() + PERIOD, PostParams::default());
        let given = timeout_at(limit, self.api.replace(&self.claim.name, &params, &wanted)).await;
        if !matches!(given, Ok(Ok(_))) {
            tracing::warn!("the lease could not be given up; it runs out in {} s", DURATION.as_secs());
        }
    }
}

/// Looks at the lease once and takes it if it is free. An error may be a conflict.
async fn attempt(api: &Api<Stored>, claim: &Claim, watched: &mut Watched) -> kube::Result<Option<Stored>> {
    let params = PostParams::default();
    let Some(stored) = api.get_opt(&claim.name).await? else {
        let wanted = Record::first(&claim.name, &claim.identity, Timestamp::now(), DURATION);
        return api.create(&params, &wanted).await.map(Some);
    };
    if !watched.is_free(Record::of(&stored), &claim.identity, Instant::now()) {
        return Ok(None);
    }
    let wanted = Record::taken(&claim.identity, Timestamp::now(), DURATION, &stored);
    api.replace(&claim.name, &params, &wanted).await.map(Some)
}
