//! One reconcile: resolve -> plan -> apply -> observe -> report. Resolve, plan and report are pure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{OptimizationMode, SessionPool, SessionPoolStatus};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Client, Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{controller::Action, events::Recorder},
};

use crate::{
    advice, backoff,
    children::{Applied, Children, Owner, Planned},
    conditions::{self, Kind, Reason, Verdict},
    events::{self, Notice},
    memory::{Memory, PoolId},
    metrics::{Metrics, Series},
    reconcile::{
        apply::ApplyError,
        lifecycle::Lifecycle,
        nudge::Due,
        observe::{Fleet, StatsClient},
        references::References,
        report::Findings,
        resolve::{Defaults, Refusal, ResolvedPool},
    },
    watched::Watched,
};

pub mod annotate;
pub mod apply;
pub mod endpoints;
pub mod lifecycle;
pub mod nudge;
pub mod observe;
pub mod plan;
pub mod references;
pub mod report;
pub mod resolve;
pub mod shrink;
pub mod verdicts;
pub mod written;

/// Time until a pool that changed while it was looked at is looked at again: its watch shows the change by then.
const CONFLICTED: Duration = Duration::from_millis(300);
/// Longest that the first status waits for what the Deployment's controller says.
const FIRST_WORD: Duration = Duration::from_secs(1);
/// Time until a pool that changes is looked at again.
const SOON: Duration = Duration::from_secs(2);
/// Time until a pool whose proxies run and don't serve as they should is looked at again.
const UNREADY: Duration = Duration::from_secs(5);
/// Time until a pool that is at rest is looked at again.
const AT_REST: Duration = Duration::from_secs(30);

/// What every reconcile shares.
#[derive(Clone)]
pub struct Context {
    /// Talks to the API server.
    pub client: Client,
    /// Writes events; one for all, since it folds repeated ones.
    pub recorder: Recorder,
    /// Reads proxies' statistics.
    pub stats: StatsClient,
    /// What pools leave unset.
    pub defaults: Defaults,
    /// What the watches show.
    pub watched: Watched,
    /// Notes between reconciles.
    pub memory: Arc<Memory>,
    /// The operator's metrics.
    pub metrics: Metrics,
}

/// Brings the children of one pool to what it asks for, and its status to what is.
pub async fn reconcile(
    object: Arc<DeserializeGuard<SessionPool>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let _running = context.metrics.reconciling();
    let outcome = match &object.0 {
        Ok(pool) => Box::pin(run(pool, &context)).await,
        Err(invalid) => {
            undecodable(object.as_ref(), invalid, &context).await;
            Ok(Action::await_change())
        }
    };
    match &outcome {
        Ok(_) => context.metrics.reconciles.with_label_values(&["ok"]).inc(),
        Err(error) if error.is_conflict() => {
            context.metrics.reconciles.with_label_values(&["conflict"]).inc();
            return Ok(Action::requeue(backoff::spread(CONFLICTED, fastrand::f64())));
        }
        Err(error) => {
            context.metrics.reconciles.with_label_values(&["error"]).inc();
            context.metrics.errors.with_label_values(&[error.reason()]).inc();
        }
    }
    outcome
}

/// The delay after a failure: longer with every failure in a row of the same pool.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller asks for")]
pub fn error_policy(
    object: Arc<DeserializeGuard<SessionPool>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let failures = context.memory.with(&id(object.as_ref()), &uid(object.as_ref()), |notes| {
        notes.failures = notes.failures.saturating_add(1);
        notes.failures
    });
    let delay = backoff::delay(failures, fastrand::f64());
    tracing::warn!(
        pool = %format_args!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()),
        error = %observe::describe(error),
        retry_seconds = delay.as_secs(),
        "a reconcile failed"
    );
    Action::requeue(delay)
}

async fn run(pool: &SessionPool, context: &Context) -> Result<Action, Error> {
    if pool.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let Some(owner) = Owner::of(pool) else { return Ok(Action::await_change()) };
    if is_outdated(pool, context) {
        return Ok(Action::requeue(backoff::spread(CONFLICTED, fastrand::f64())));
    }
    let service = pool.spec.upstream.service_ref.as_ref().map(|service| service.name.as_str());
    let references = references::look_up(&context.client, &owner, service).await.map_err(Error::LookUp)?;
    let passed = context.memory.with(&id(pool), &owner.uid, |notes| notes.passed.clone());
    let begun = begin(pool, &owner, context).await?;
    let (pool, mut lifecycle, before) = (&begun.pool, begun.lifecycle, pool.status.clone());
    let designed = design(pool, &context.defaults, &references, &lifecycle, passed.as_deref());
    let outcome = match designed {
        Ok((resolved, planned)) => Box::pin(carry_out(resolved, planned, context)).await?,
        Err(refusal) => Err(refusal),
    };
    let (outcome, deployment) = match outcome {
        Ok((resolved, applied)) => {
            let passed = Some(resolved.rendering.revision.clone());
            context.memory.with(&id(pool), &owner.uid, |notes| notes.passed = passed);
            (Ok(resolved), applied.deployment)
        }
        Err(refusal) => (Err(refusal), apply::existing(&context.client, &owner).await?),
    };
    let advised = pool.spec.optimization.mode != OptimizationMode::Off;
    let fleet = observe::observe(&context.watched.pods, &context.stats, &owner, advised).await;
    let nudged = match &outcome {
        Ok(resolved) => nudge_stale(resolved, &fleet, context).await,
        Err(_) => false,
    };
    if pool.status.is_none() && is_unanswered(deployment.as_ref()) && awaits(pool, context) {
        return Ok(Action::requeue(FIRST_WORD));
    }
    let told = outcome.as_ref().ok().map(|resolved| resolved.rendering.revision.as_str());
    let progress = lifecycle.follow(&fleet, told, Timestamp::now());
    let moving = lifecycle.is_moving();
    let findings = Findings {
        pool,
        outcome: outcome.as_ref(),
        deployment: deployment.as_ref(),
        fleet: &fleet,
        lifecycle: &lifecycle,
        progress: &progress,
        strain: None,
        sample: None,
        now: Timestamp::now(),
    };
    let settled = tell(&owner, before.as_ref(), findings, context).await?;
    if fleet.pods.iter().any(|pod| pod.starting) {
        context.memory.with(&id(pool), &owner.uid, |notes| notes.written.doubt_key());
    }
    let serving = fleet.pods.iter().any(|pod| pod.running);
    Ok(next(&outcome, nudged || moving, settled, serving, context, &id(pool), &owner.uid))
}

/// Whether the watch has yet to show the status that was written last: what follows from the older one would be refused.
fn is_outdated(pool: &SessionPool, context: &Context) -> bool {
    let version = &pool.metadata.resource_version;
    context
        .memory
        .with(&id(pool), &uid(pool), |notes| version.is_some() && *version == notes.replaced_version)
}

/// Whether a Deployment's controller has yet to say something, which it does within moments: the first status of a pool waits
/// for it, so that it is not replaced at once.
fn is_unanswered(deployment: Option<&Deployment>) -> bool {
    deployment.is_some_and(|deployment| {
        deployment.status.as_ref().is_none_or(|status| status.observed_generation.is_none())
    })
}

/// Whether the first status of a pool may wait for that a little longer.
fn awaits(pool: &SessionPool, context: &Context) -> bool {
    let since =
        context.memory.with(&id(pool), &uid(pool), |notes| *notes.awaiting.get_or_insert_with(Instant::now));
    since.elapsed() < FIRST_WORD
}

/// Stores a status, and remembers which version of the pool it replaced.
async fn store(
    pool: &SessionPool,
    owner: &Owner,
    status: &SessionPoolStatus,
    context: &Context,
) -> Result<Option<String>, Error> {
    let version = pool.metadata.resource_version.as_deref();
    let stored = report::write(&context.client, owner, version, status).await.map_err(Error::Report)?;
    // None: there is no such object any more, or an API server that does not know it yet; nothing was replaced.
    if stored.is_some() && stored.as_deref() != version {
        let replaced = pool.metadata.resource_version.clone();
        context.memory.with(&id(pool), &owner.uid, |notes| notes.replaced_version = replaced);
    }
    Ok(stored)
}

/// A pool whose status holds what has to be remembered before its proxies are told.
struct Begun {
    pool: SessionPool,
    lifecycle: Lifecycle,
}

/// Works out what drain and reset ask for. A drain's beginning is stored first: its deadline counts from there, whatever
/// becomes of this operator.
async fn begin(pool: &SessionPool, owner: &Owner, context: &Context) -> Result<Begun, Error> {
    let lifecycle = lifecycle::begin(pool, Timestamp::now());
    let mut pool = pool.clone();
    if lifecycle.begins {
        let mut status = pool.status.clone().unwrap_or_default();
        status.drain.clone_from(&lifecycle.drain);
        let verdict = Verdict::no(Kind::Drained, Reason::Draining, "the drain begins");
        conditions::set(&mut status.conditions, &verdict, pool.metadata.generation, Timestamp::now());
        pool.metadata.resource_version = store(&pool, owner, &status, context).await?;
        pool.status = Some(status);
    }
    Ok(Begun { pool, lifecycle })
}

/// Resolve and plan: the pure half of a reconcile. `passed` is a revision that is known to be sound.
fn design(
    pool: &SessionPool,
    defaults: &Defaults,
    references: &References,
    lifecycle: &Lifecycle,
    passed: Option<&str>,
) -> Result<(ResolvedPool, Children<Planned>), Refusal> {
    let resolved = resolve::resolve(pool, defaults, references, lifecycle)?;
    if passed != Some(resolved.rendering.revision.as_str()) {
        resolve::check(&resolved.rendering)?;
    }
    let planned =
        plan::plan(&resolved).map_err(|error| Refusal::new(Reason::InvalidSpec, error.to_string()))?;
    Ok((resolved, planned))
}

/// Apply. What a person has to mend becomes a refusal; what a retry may mend stays an error.
async fn carry_out(
    resolved: ResolvedPool,
    planned: Children<Planned>,
    context: &Context,
) -> Result<Result<(ResolvedPool, Children<Applied>), Refusal>, Error> {
    match write(&resolved.owner, planned, context).await {
        Ok(applied) => Ok(Ok((resolved, applied))),
        Err(error @ ApplyError::NameConflict(_)) => {
            Ok(Err(Refusal::new(Reason::NameConflict, error.to_string())))
        }
        Err(error @ ApplyError::Refused { .. }) => {
            Ok(Err(Refusal::new(Reason::ApplyFailed, error.to_string())))
        }
        Err(error) => Err(Error::Apply(error)),
    }
}

/// Writes the children. What was written is remembered also when a later one failed.
async fn write(
    owner: &Owner,
    planned: Children<Planned>,
    context: &Context,
) -> Result<Children<Applied>, ApplyError> {
    let id = (owner.namespace.clone(), owner.name.clone());
    let mut written = context.memory.with(&id, &owner.uid, |notes| notes.written.clone());
    let applied = Box::pin(apply::apply(context, owner, planned, &mut written)).await;
    context.memory.with(&id, &owner.uid, |notes| notes.written = written);
    applied
}

/// Nudges the pods that run an older configuration. Says whether one of them has yet to report the newest.
async fn nudge_stale(resolved: &ResolvedPool, fleet: &Fleet, context: &Context) -> bool {
    let owner = &resolved.owner;
    let revision = &resolved.rendering.revision;
    let id = (owner.namespace.clone(), owner.name.clone());
    let now = Timestamp::now();
    let due = context.memory.with(&id, &owner.uid, |notes| {
        notes.nudges.retain(|uid, _| fleet.pods.iter().any(|pod| pod.uid == *uid));
        nudge::due(fleet, revision, &notes.nudges, now)
    });
    for Due { pod, uid, nudge } in due {
        if let Err(error) = nudge::send(&context.client, &owner.namespace, &pod, &nudge).await {
            tracing::warn!(%pod, %error, "a pod could not be nudged");
        }
        context.memory.with(&id, &owner.uid, |notes| notes.nudges.insert(uid, nudge));
    }
    fleet.pods.iter().any(|pod| pod.running && !pod.terminating && pod.revision() != Some(revision))
}

/// Report: writes the status when it changed, and tells what changed since `before`. Says whether the pool is at rest.
async fn tell(
    owner: &Owner,
    before: Option<&SessionPoolStatus>,
    mut findings: Findings<'_>,
    context: &Context,
) -> Result<bool, Error> {
    let pool = findings.pool;
    let stored = report::stored_counters(pool);
    (findings.sample, findings.strain) = context.memory.with(&id(pool), &owner.uid, |notes| {
        let sample = notes.ledger.observe(findings.fleet, stored);
        (sample, notes.strain.observe(findings.fleet, findings.now))
    });
    let report = report::report(&findings);
    let conditions = before.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let mut notices = events::between(conditions, &report.verdicts);
    if let Ok(resolved) = findings.outcome {
        let mode = pool.spec.optimization.mode;
        notices.extend(advice::notice(mode, &resolved.asked, before, &report.status));
    }
    context.describe(pool, &report.status);
    if pool.status.as_ref() != Some(&report.status) {
        store(pool, owner, &report.status, context).await?;
    }
    events::publish(&context.recorder, &pool.object_ref(&()), notices).await;
    Ok(report.settled)
}

/// When to look again.
fn next(
    outcome: &Result<ResolvedPool, Refusal>,
    nudged: bool,
    settled: bool,
    serving: bool,
    context: &Context,
    id: &PoolId,
    uid: &str,
) -> Action {
    let refused = outcome.as_ref().err().map(|refusal| refusal.reason);
    if let Some(reason) = refused {
        context.metrics.errors.with_label_values(&[reason.name()]).inc();
    }
    let failures = context.memory.with(id, uid, |notes| {
        notes.failures = if refused.is_some() { notes.failures.saturating_add(1) } else { 0 };
        notes.failures
    });
    let base = match refused {
        // Nobody tells when a foreign object goes away or the API server changes its mind.
        Some(Reason::NameConflict | Reason::ApplyFailed) => {
            return Action::requeue(backoff::delay(failures + 2, fastrand::f64()));
        }
        None if nudged => SOON,
        // What happens to pods is watched; what their proxies say is not.
        None if !settled && serving => UNREADY,
        _ => AT_REST,
    };
    Action::requeue(backoff::spread(base, fastrand::f64()))
}

impl Context {
    /// Tells of the pool in the metrics, and of nothing that was and is no more.
    fn describe(&self, pool: &SessionPool, status: &SessionPoolStatus) {
        let phase = status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default();
        let (namespace, name) = id(pool);
        let info = [namespace.clone(), name.clone(), format!("{:?}", pool.spec.pool_strategy), phase];
        self.metrics.info.with_label_values(&info).set(1);
        let conditions = status.conditions.iter().map(|condition| {
            let labels = [namespace.clone(), name.clone(), condition.type_.clone(), condition.reason.clone()];
            let holds = i64::from(condition.status == "True");
            self.metrics.conditions.with_label_values(&labels).set(holds);
            labels
        });
        let series = Series { info: Some(info), conditions: conditions.collect() };
        let before = self
            .memory
            .with(&id(pool), &uid(pool), |notes| std::mem::replace(&mut notes.series, series.clone()));
        self.metrics.replace(&before, &series);
    }

    /// Drops what is known of a pool that is gone.
    pub fn forget(&self, id: &PoolId) {
        if let Some(notes) = self.memory.forget(id) {
            self.metrics.replace(&notes.series, &Series::default());
        }
    }
}

/// Tells once that an object can't be read. Its children stay as they are.
async fn undecodable(object: &DeserializeGuard<SessionPool>, invalid: &InvalidObject, context: &Context) {
    let version = object.meta().resource_version.clone();
    let known = context.memory.with(&id(object), &uid(object), |notes| {
        std::mem::replace(&mut notes.reported_version, version.clone()) == version
    });
    if known {
        return;
    }
    let note = format!("the object can't be read, so nothing is changed: {}", invalid.error);
    tracing::error!(namespace = object.namespace(), name = object.name_any(), error = %invalid.error, "an object can't be read");
    let notice = Notice { warning: true, reason: "Undecodable", action: "Resolve", note };
    events::publish(&context.recorder, &object.object_ref(&()), vec![notice]).await;
}

fn id<K: Resource>(object: &K) -> PoolId {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn uid<K: Resource>(object: &K) -> String {
    object.uid().unwrap_or_default()
}

/// Why a reconcile failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// References could not be read.
    #[error("the Service of upstream.serviceRef could not be read")]
    LookUp(#[source] kube::Error),
    /// Children could not be written.
    #[error("the children could not be written")]
    Apply(#[from] ApplyError),
    /// The status could not be written.
    #[error("the status could not be written")]
    Report(#[source] kube::Error),
}

impl Error {
    /// Whether the object has changed since it was read: nothing is wrong.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Report(kube::Error::Api(answer)) if answer.is_conflict())
    }

    /// The label of the error metric.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::LookUp(_) => "LookUp",
            Self::Apply(_) => "Apply",
            Self::Report(_) => "Report",
        }
    }
}
