//! Fifth step: the status that follows from all that was seen. Building it is pure; the phase is derived here and read
//! nowhere.

use crds::{Phase, PoolStatsStatus, SessionPool, SessionPoolStatus, names};
use jiff::Timestamp;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::Serialize;

use crate::{
    advice::{self, Situation},
    children::{Owner, deployment::selector_string},
    conditions::{Kind, Reason, Verdict, find, follow},
    reconcile::{
        endpoints::service_url,
        lifecycle::{Lifecycle, Progress},
        observe::Fleet,
        resolve::{Refusal, ResolvedPool},
        verdicts::judge,
    },
    totals::{Counters, Sample},
};

/// Statistics in the status are replaced after this many seconds at the earliest.
const STATS_SECONDS: i64 = 30;

/// All that a status is made of.
#[derive(Debug, Clone)]
pub struct Findings<'a> {
    /// The object, with the status it has.
    pub pool: &'a SessionPool,
    /// What became of its specification.
    pub outcome: Result<&'a ResolvedPool, &'a Refusal>,
    /// The Deployment as it is.
    pub deployment: Option<&'a Deployment>,
    /// The pods as they are.
    pub fleet: &'a Fleet,
    /// Where drain and reset stand.
    pub lifecycle: &'a Lifecycle,
    /// What the conditions say of that.
    pub progress: &'a Progress,
    /// What the proxies counted that speaks against the pool.
    pub strain: Option<Verdict>,
    /// The sum of the proxies' statistics; nothing when it is not known yet.
    pub sample: Option<Sample>,
    /// The time.
    pub now: Timestamp,
}

/// A status and how it came about.
#[derive(Debug, Clone)]
pub struct Report {
    /// What is to be stored.
    pub status: SessionPoolStatus,
    /// Its conditions before they were dated.
    pub verdicts: Vec<Verdict>,
    /// Whether nothing is expected to change by itself.
    pub settled: bool,
}

/// The status that follows from the findings.
pub fn report(findings: &Findings) -> Report {
    let Findings { pool, outcome, deployment, fleet, lifecycle, progress, ref strain, now, .. } = *findings;
    let before = pool.status.clone().unwrap_or_default();
    let verdicts = judge(outcome, deployment, fleet, progress, strain.as_ref());
    let generation = pool.metadata.generation;
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    let replicas = match outcome {
        Ok(resolved) if resolved.sidecar.is_some() => Some(count(fleet.alive().count())),
        _ => deployment.and_then(|deployment| deployment.status.as_ref()?.replicas),
    };
    let status = SessionPoolStatus {
        observed_generation: generation,
        phase: Some(phase(&verdicts, pool.spec.pool_enabled)),
        conditions: follow(&before.conditions, &verdicts, generation, now),
        replicas: replicas.unwrap_or_default(),
        ready_replicas: count(fleet.ready().count()),
        updated_replicas: outcome
            .map_or(before.updated_replicas, |resolved| count(fleet.current(&resolved.rendering.revision))),
        selector: Some(selector_string(name)),
        url: outcome.map_or(before.url.clone(), client_url),
        effective: outcome.map_or(before.effective.clone(), |resolved| Some(resolved.effective.clone())),
        stats: stats(findings, before.stats.as_ref()),
        drain: lifecycle.drain.clone(),
        reset: lifecycle.reset.clone(),
        recommendation: outcome.map_or(before.recommendation.clone(), |resolved| {
            let situation = Situation {
                mode: pool.spec.optimization.mode,
                asked: &resolved.asked,
                in_force: &resolved.effective,
                before: before.recommendation.as_ref(),
            };
            advice::recommend(situation, fleet.pods.iter().filter_map(|pod| pod.advice.as_ref()), now)
        }),
    };
    let taken = outcome.is_ok_and(|resolved| {
        advice::in_force(&pool.spec, &resolved.asked, status.recommendation.as_ref()) == resolved.effective
    });
    let holds = |kind| find(&verdicts, kind).is_some_and(|verdict| verdict.holds);
    let settled = taken
        && !lifecycle.is_moving()
        && holds(Kind::Ready)
        && !holds(Kind::Progressing)
        && !holds(Kind::Degraded);
    Report { status, verdicts, settled }
}

/// The one word for people. The first that fits counts.
fn phase(verdicts: &[Verdict], enabled: bool) -> Phase {
    let holds = |kind| find(verdicts, kind).is_some_and(|verdict| verdict.holds);
    let because = |kind, reason| find(verdicts, kind).is_some_and(|verdict| verdict.reason == reason);
    if !holds(Kind::Resolved) {
        Phase::Failed
    } else if holds(Kind::Drained) {
        Phase::Drained
    } else if because(Kind::Drained, Reason::Draining) {
        Phase::Draining
    } else if because(Kind::Progressing, Reason::Resetting) {
        Phase::Resetting
    } else if !enabled && holds(Kind::Ready) {
        Phase::Disabled
    } else if holds(Kind::Degraded) {
        Phase::Degraded
    } else if !holds(Kind::Ready) {
        Phase::Pending
    } else {
        Phase::Active
    }
}

/// Where clients connect; nobody here knows the Service before pods of somebody else's making.
fn client_url(pool: &ResolvedPool) -> Option<String> {
    if pool.sidecar.is_some() {
        return None;
    }
    let Owner { name, namespace, .. } = &pool.owner;
    Some(service_url(namespace, &names::service(name), pool.service.port, names::MCP_PATH))
}

/// The sampled statistics: the stored ones until they are old enough and differ.
fn stats(findings: &Findings, before: Option<&PoolStatsStatus>) -> Option<PoolStatsStatus> {
    let age = |stats: &PoolStatsStatus| {
        Some(findings.now.duration_since(stats.observed_time.as_ref()?.0).as_secs())
    };
    let fresh = before.and_then(age).is_some_and(|age| age < STATS_SECONDS);
    let Some(Sample { counters, gauges }) = findings.sample.filter(|_| !fresh) else {
        return before.cloned();
    };
    let mut sum = PoolStatsStatus {
        observed_time: before.and_then(|before| before.observed_time.clone()),
        total_sessions: signed(gauges.total),
        active_sessions: signed(gauges.active),
        available_sessions: signed(gauges.available),
        unhealthy_sessions: signed(gauges.unhealthy),
        min_size: signed(gauges.min_size),
        max_size: signed(gauges.max_size),
        total_acquisitions: signed(counters.acquisitions),
        total_releases: signed(counters.releases),
        total_timeouts: signed(counters.timeouts),
        total_creates: signed(counters.creates),
        total_destroys: signed(counters.destroys),
    };
    if before != Some(&sum) {
        sum.observed_time = Some(Time(findings.now));
    }
    Some(sum)
}

/// The counters in a stored status.
pub fn stored_counters(pool: &SessionPool) -> Option<Counters> {
    let stats = pool.status.as_ref()?.stats.as_ref()?;
    Some(Sample::from(stats).counters)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Stores a status that follows from the object as it was at `version`, and gives the version that it has then. The
/// operator owns all of the status, so what it leaves out is removed. Where the object has changed meanwhile the API server
/// refuses it as a conflict: an operator that was replaced and does not know it yet overwrites nothing.
pub async fn write(
    client: &Client,
    owner: &Owner,
    version: Option<&str>,
    status: &SessionPoolStatus,
) -> kube::Result<Option<String>> {
    let api: Api<SessionPool> = Api::namespaced(client.clone(), &owner.namespace);
    let patch = StatusPatch {
        api_version: names::API_VERSION,
        kind: names::KIND,
        metadata: PatchedVersion { resource_version: version },
        status,
    };
    let params = PatchParams::apply(names::FIELD_MANAGER).force();
    match api.patch_status(&owner.name, &params, &Patch::Apply(&patch)).await {
        Ok(stored) => Ok(stored.metadata.resource_version),
        // It was deleted meanwhile.
        Err(kube::Error::Api(answer)) if answer.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPatch<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: PatchedVersion<'a>,
    status: &'a SessionPoolStatus,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PatchedVersion<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        reconcile::{
            observe::PodReport,
            resolve::tests::{pool, resolved},
        },
        totals::Gauges,
    };

    fn spec() -> Value {
        json!({"poolEnabled": true, "isolation": "Shared", "upstream": {"url": "http://mcp.example.com/mcp"}})
    }

    fn deployment() -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"generation": 1},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}
        }))
        .unwrap()
    }

    fn calm() -> Progress {
        let drained = Verdict::no(Kind::Drained, Reason::NotRequested, "");
        Progress { drained, resetting: None }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn sample(creates: u64, total: u64) -> Sample {
        let counters = Counters { creates, destroys: creates - total, ..Counters::default() };
        Sample { counters, gauges: Gauges { total, available: total, ..Gauges::default() } }
    }

    fn word(outcome: &Result<ResolvedPool, Refusal>, spec: &Value, fleet: &Fleet) -> (Phase, bool) {
        let (pool, deployment) = (pool(spec), deployment());
        let findings = Findings {
            pool: &pool,
            outcome: outcome.as_ref(),
            deployment: Some(&deployment),
            fleet,
            lifecycle: &Lifecycle::default(),
            progress: &calm(),
            strain: None,
            sample: None,
            now: at(0),
        };
        let report = report(&findings);
        (report.status.phase.unwrap(), report.settled)
    }

    fn serving(outcome: &Result<ResolvedPool, Refusal>) -> Fleet {
        let revision = outcome.as_ref().map_or("", |resolved| resolved.rendering.revision.as_str());
        Fleet { pods: vec![PodReport::example("a", Some(revision))] }
    }

    #[test]
    fn the_first_phase_that_fits_counts() {
        let outcome = resolved(&spec());
        let mut fleet = serving(&outcome);
        assert_eq!(word(&outcome, &spec(), &fleet), (Phase::Active, true));

        let mut disabled = spec();
        disabled["poolEnabled"] = json!(false);
        let off = resolved(&disabled);
        assert_eq!(word(&off, &disabled, &serving(&off)), (Phase::Disabled, true));

        let Some(Ok(stats)) = &mut fleet.pods[0].stats else { panic!("no statistics") };
        stats.upstream.reachable = Some(false);
        assert_eq!(word(&outcome, &spec(), &fleet), (Phase::Degraded, false));
        fleet.pods[0].ready = false;
        assert_eq!(word(&outcome, &spec(), &fleet), (Phase::Degraded, false));
        fleet.pods[0].running = false;
        assert_eq!(word(&outcome, &spec(), &fleet), (Phase::Pending, false));

        let refused = Err(Refusal::new(Reason::NotSupported, "no"));
        assert_eq!(word(&refused, &spec(), &serving(&outcome)), (Phase::Failed, false));
    }

    #[test]
    fn a_refusal_keeps_what_runs_in_the_status() {
        let (outcome, mut object, deployment) = (resolved(&spec()), pool(&spec()), deployment());
        let fleet = serving(&outcome);
        let tell = |pool: &SessionPool, outcome: &Result<ResolvedPool, Refusal>| {
            let deployment = Some(&deployment);
            let outcome = outcome.as_ref();
            report(&Findings {
                pool,
                outcome,
                deployment,
                fleet: &fleet,
                lifecycle: &Lifecycle::default(),
                progress: &calm(),
                strain: None,
                sample: None,
                now: at(0),
            })
        };
        object.status = Some(tell(&object, &outcome).status);
        object.metadata.generation = Some(2);
        let refused = tell(&object, &Err(Refusal::new(Reason::InvalidSpec, "min > max")));
        let before = object.status.unwrap();
        assert_eq!(refused.status.effective, before.effective);
        assert_eq!((refused.status.url, refused.status.updated_replicas), (before.url, 1));
        assert_eq!((refused.status.ready_replicas, refused.status.observed_generation), (1, Some(2)));
        let ready = find(&refused.verdicts, Kind::Ready).unwrap();
        assert_eq!((ready.holds, ready.reason), (false, Reason::InvalidSpec));
    }

    #[test]
    fn statistics_are_sampled() {
        let (outcome, mut object, deployment) = (resolved(&spec()), pool(&spec()), deployment());
        let fleet = serving(&outcome);
        let tell = |pool: &SessionPool, sample: Option<Sample>, second: i64| {
            let (outcome, deployment) = (outcome.as_ref(), Some(&deployment));
            report(&Findings {
                pool,
                outcome,
                deployment,
                fleet: &fleet,
                lifecycle: &Lifecycle::default(),
                progress: &calm(),
                strain: None,
                sample,
                now: at(second),
            })
            .status
        };
        let first = tell(&object, Some(sample(3, 2)), 100);
        let stats = first.stats.clone().unwrap();
        assert_eq!((stats.total_sessions, stats.total_creates, stats.total_destroys), (2, 3, 1));
        assert_eq!(stats.observed_time, Some(Time(at(100))));
        object.status = Some(first.clone());
        assert_eq!(tell(&object, Some(sample(9, 4)), 129), first, "sooner than 30 s");
        assert_eq!(tell(&object, Some(sample(3, 2)), 500), first, "nothing changed");
        assert_eq!(tell(&object, None, 500), first, "nothing is known");
        let later = tell(&object, Some(sample(9, 4)), 130).stats.unwrap();
        assert_eq!((later.total_sessions, later.observed_time), (4, Some(Time(at(130)))));
        assert_eq!(stored_counters(&object).unwrap().creates, 3);
    }
}
