//! What the conditions of a pool say. Pure.

use crds::names;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use crate::{
    conditions::{Kind, Reason, Verdict},
    reconcile::{
        lifecycle::Progress,
        observe::{Fleet, PodReport, Trouble},
        resolve::{Refusal, ResolvedPool},
    },
};

/// Every condition of a pool, in the order in which they are shown.
pub fn judge(
    outcome: Result<&ResolvedPool, &Refusal>,
    deployment: Option<&Deployment>,
    fleet: &Fleet,
    progress: &Progress,
    strain: Option<&Verdict>,
) -> Vec<Verdict> {
    let degraded = degraded(fleet, strain);
    let (ready, progressing, resolved) = match outcome {
        Err(Refusal { reason, message }) => (
            Verdict::no(Kind::Ready, *reason, message.as_str()),
            Verdict::no(Kind::Progressing, Reason::Blocked, "the children stay as they are"),
            Verdict::no(Kind::Resolved, *reason, message.as_str()),
        ),
        Ok(pool) => {
            let ready = ready(pool, fleet, &degraded);
            (ready, progressing(pool, deployment, fleet, progress), resolved(pool))
        }
    };
    vec![ready, progressing, degraded, resolved, progress.drained.clone()]
}

fn ready(pool: &ResolvedPool, fleet: &Fleet, degraded: &Verdict) -> Verdict {
    let wanted = usize::try_from(wanted(pool, fleet)).unwrap_or_default();
    if wanted == 0 {
        return nobody(pool);
    }
    let ready = fleet.ready().count();
    let count = format!("{ready}/{wanted} proxies ready");
    if ready >= wanted && !pool.effective.pool_enabled {
        let text = format!("{count}; pooling is off: each client has sessions of its own");
        return Verdict::yes(Kind::Ready, Reason::PoolingDisabled, text);
    }
    if ready >= wanted {
        return Verdict::yes(Kind::Ready, Reason::AllProxiesReady, count);
    }
    let why = match fleet.trouble() {
        Some(trouble) => format!("{count}; {trouble}"),
        None if degraded.holds => format!("{count}; {}", degraded.message),
        None => count,
    };
    Verdict::no(Kind::Ready, Reason::ProxiesNotReady, why)
}

/// Proxies that there should be. How many pods of somebody else's making there are is their maker's choice.
fn wanted(pool: &ResolvedPool, fleet: &Fleet) -> i32 {
    match pool.sidecar {
        Some(_) => i32::try_from(fleet.alive().count()).unwrap_or(i32::MAX),
        None => pool.fleet.replicas,
    }
}

fn nobody(pool: &ResolvedPool) -> Verdict {
    if pool.sidecar.is_none() {
        return Verdict::no(Kind::Ready, Reason::ScaledToZero, "spec.replicas is 0");
    }
    let text = format!(
        "no pod in this namespace has a proxy of this pool: put the label {}: {} into the pod template of the MCP server's \
         Deployment",
        names::INJECT,
        pool.owner.name
    );
    Verdict::no(Kind::Ready, Reason::NoInjectedPods, text)
}

fn progressing(
    pool: &ResolvedPool,
    deployment: Option<&Deployment>,
    fleet: &Fleet,
    progress: &Progress,
) -> Verdict {
    let status = deployment.and_then(|deployment| deployment.status.as_ref());
    if let Some(stalled) = status.and_then(stalled) {
        let trouble = fleet.trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        return Verdict::no(Kind::Progressing, Reason::RolloutStalled, format!("{stalled}{trouble}"));
    }
    let wanted = wanted(pool, fleet);
    let generation = deployment.and_then(|deployment| deployment.metadata.generation);
    let seen = status.and_then(|status| status.observed_generation);
    let count = |number: fn(&DeploymentStatus) -> Option<i32>| status.and_then(number).unwrap_or_default();
    let updated = count(|status| status.updated_replicas);
    let all = count(|status| status.replicas);
    let settled = seen.is_some() && seen == generation && updated == wanted && all == wanted;
    if !settled && pool.sidecar.is_none() {
        let trouble = fleet.trouble().map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let text = format!("{updated}/{wanted} proxies have the newest pod template, {all} exist{trouble}");
        return Verdict::yes(Kind::Progressing, Reason::RollingOut, text);
    }
    let running = fleet.pods.iter().filter(|pod| pod.running && !pod.terminating).count();
    let current = fleet.current(&pool.rendering.revision);
    if current < running {
        let text = format!("{current}/{running} proxies run configuration {}", pool.rendering.revision);
        return Verdict::yes(Kind::Progressing, Reason::Reconfiguring, text);
    }
    if fleet.ready().count() < usize::try_from(wanted).unwrap_or_default() {
        let text = format!("{} of {wanted} proxies are ready", fleet.ready().count());
        return Verdict::yes(Kind::Progressing, Reason::RollingOut, text);
    }
    if let Some(text) = &progress.resetting {
        return Verdict::yes(Kind::Progressing, Reason::Resetting, text.as_str());
    }
    let text = format!("every proxy runs configuration {}", pool.rendering.revision);
    Verdict::no(Kind::Progressing, Reason::UpToDate, text)
}

fn stalled(status: &DeploymentStatus) -> Option<String> {
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let found = conditions.iter().find(|condition| {
        (condition.type_ == "ReplicaFailure" && condition.status == "True")
            || (condition.type_ == "Progressing" && condition.status == "False")
    })?;
    Some(found.message.clone().unwrap_or_else(|| found.type_.clone()))
}

fn degraded(fleet: &Fleet, strain: Option<&Verdict>) -> Verdict {
    let say = |pod: &PodReport, text: &str| format!("{}: {text}", pod.name);
    let yes = |reason, text| Verdict::yes(Kind::Degraded, reason, text);
    let pods = || fleet.pods.iter().filter(|pod| pod.running && !pod.terminating);
    if let Some(text) = pods().find_map(|pod| {
        let upstream = &pod.answered()?.upstream;
        let text = upstream.message.as_deref().unwrap_or("the MCP server does not answer");
        (upstream.reachable == Some(false)).then(|| say(pod, text))
    }) {
        return yes(Reason::UpstreamUnreachable, text);
    }
    if let Some(text) = pods().find_map(|pod| Some(say(pod, pod.answered()?.config_error.as_deref()?))) {
        return yes(Reason::ConfigurationRejected, text);
    }
    if let Some(text) = fleet.pods.iter().filter(|pod| !pod.terminating).find_map(|pod| match &pod.trouble {
        Some(Trouble::Failing(text)) => Some(say(pod, text)),
        _ => None,
    }) {
        return yes(Reason::PodsFailing, text);
    }
    if let Some(text) = pods().filter(|pod| pod.ready).find_map(|pod| match &pod.stats {
        Some(Err(error)) => Some(say(pod, &format!("no statistics: {error}"))),
        _ => None,
    }) {
        return yes(Reason::ProxiesUnreachable, text);
    }
    let calm = || Verdict::no(Kind::Degraded, Reason::AsExpected, "the proxies report no fault");
    strain.cloned().unwrap_or_else(calm)
}

fn resolved(pool: &ResolvedPool) -> Verdict {
    match &pool.missing {
        Some(Refusal { reason, message }) => Verdict::no(Kind::Resolved, *reason, message.as_str()),
        None => Verdict::yes(Kind::Resolved, Reason::SpecResolved, pool.remark.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{conditions::find, reconcile::resolve::tests::resolved};

    fn resolved_pool(replicas: i32) -> ResolvedPool {
        let upstream = json!({"url": "http://mcp.example.com/mcp"});
        resolved(
            &json!({"poolEnabled": true, "isolation": "Shared", "replicas": replicas, "upstream": upstream}),
        )
        .unwrap()
    }

    fn deployment(status: &Value) -> Deployment {
        serde_json::from_value(json!({"metadata": {"generation": 2}, "status": status})).unwrap()
    }

    fn settled(replicas: i32) -> Deployment {
        deployment(&json!({"observedGeneration": 2, "replicas": replicas, "updatedReplicas": replicas}))
    }

    fn fleet(names: &[&str], revision: &str) -> Fleet {
        Fleet { pods: names.iter().map(|name| PodReport::example(name, Some(revision))).collect() }
    }

    fn calm() -> Progress {
        let drained = Verdict::no(Kind::Drained, Reason::NotRequested, "");
        Progress { drained, resetting: None }
    }

    fn said(verdicts: &[Verdict], kind: Kind) -> (bool, Reason, &str) {
        let verdict = find(verdicts, kind).unwrap();
        (verdict.holds, verdict.reason, &verdict.message)
    }

    #[test]
    fn a_settled_fleet() {
        let pool = resolved_pool(2);
        let fleet = fleet(&["a", "b"], &pool.rendering.revision);
        let verdicts = judge(Ok(&pool), Some(&settled(2)), &fleet, &calm(), None);
        assert_eq!(said(&verdicts, Kind::Ready), (true, Reason::AllProxiesReady, "2/2 proxies ready"));
        assert!(matches!(said(&verdicts, Kind::Progressing), (false, Reason::UpToDate, _)));
        assert!(matches!(said(&verdicts, Kind::Degraded), (false, Reason::AsExpected, _)));
        assert!(matches!(said(&verdicts, Kind::Resolved), (true, Reason::SpecResolved, _)));
        assert!(matches!(said(&verdicts, Kind::Drained), (false, Reason::NotRequested, _)));
    }

    #[test]
    fn trouble_is_in_the_message() {
        let pool = resolved_pool(2);
        let mut fleet = fleet(&["a", "b"], &pool.rendering.revision);
        fleet.pods[1] = PodReport {
            ready: false,
            running: false,
            stats: None,
            trouble: Some(Trouble::Failing("container proxy is in ImagePullBackOff".to_owned())),
            ..fleet.pods[1].clone()
        };
        let verdicts = judge(Ok(&pool), Some(&settled(2)), &fleet, &calm(), None);
        let text = "1/2 proxies ready; b: container proxy is in ImagePullBackOff";
        assert_eq!(said(&verdicts, Kind::Ready), (false, Reason::ProxiesNotReady, text));
        let text = "b: container proxy is in ImagePullBackOff";
        assert_eq!(said(&verdicts, Kind::Degraded), (true, Reason::PodsFailing, text));
        fleet.pods[1].trouble = Some(Trouble::Unscheduled("no node fits".to_owned()));
        let verdicts = judge(Ok(&pool), Some(&settled(2)), &fleet, &calm(), None);
        assert_eq!(said(&verdicts, Kind::Ready).2, "1/2 proxies ready; b: not scheduled: no node fits");
        assert_eq!(said(&verdicts, Kind::Degraded).1, Reason::AsExpected);
    }

    #[test]
    fn rollouts_and_configurations_progress() {
        let pool = resolved_pool(2);
        let revision = pool.rendering.revision.as_str();
        let both = fleet(&["a", "b"], revision);
        let reason = |deployment: &Deployment, fleet: &Fleet| {
            let verdicts = judge(Ok(&pool), Some(deployment), fleet, &calm(), None);
            said(&verdicts, Kind::Progressing).1
        };
        let unseen = deployment(&json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2}));
        assert_eq!(reason(&unseen, &both), Reason::RollingOut);
        let surging = deployment(&json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1}));
        assert_eq!(reason(&surging, &both), Reason::RollingOut);
        assert_eq!(reason(&settled(2), &fleet(&["a", "b"], "older")), Reason::Reconfiguring);
        let stuck = deployment(&json!({"observedGeneration": 2, "replicas": 3, "conditions": [
            {"type": "Progressing", "status": "False", "message": "timed out progressing"}
        ]}));
        assert_eq!(reason(&stuck, &both), Reason::RolloutStalled);
    }

    #[test]
    fn an_unreachable_upstream_goes_before_other_faults() {
        let pool = resolved_pool(1);
        let mut fleet = fleet(&["a"], &pool.rendering.revision);
        let Some(Ok(stats)) = &mut fleet.pods[0].stats else { panic!("no statistics") };
        stats.config_error = Some("poolMaxSize: wrong".to_owned());
        let verdicts = judge(Ok(&pool), Some(&settled(1)), &fleet, &calm(), None);
        assert_eq!(
            said(&verdicts, Kind::Degraded),
            (true, Reason::ConfigurationRejected, "a: poolMaxSize: wrong")
        );
        let Some(Ok(stats)) = &mut fleet.pods[0].stats else { panic!("no statistics") };
        stats.upstream.reachable = Some(false);
        stats.upstream.message = Some("connection refused".to_owned());
        fleet.pods[0].ready = false;
        let verdicts = judge(Ok(&pool), Some(&settled(1)), &fleet, &calm(), None);
        assert_eq!(
            said(&verdicts, Kind::Degraded),
            (true, Reason::UpstreamUnreachable, "a: connection refused")
        );
        assert_eq!(said(&verdicts, Kind::Ready).2, "0/1 proxies ready; a: connection refused");
        fleet.pods[0].ready = true;
        fleet.pods[0].stats = Some(Err("connection reset".to_owned()));
        let verdicts = judge(Ok(&pool), Some(&settled(1)), &fleet, &calm(), None);
        assert!(matches!(said(&verdicts, Kind::Degraded), (true, Reason::ProxiesUnreachable, _)));
    }

    #[test]
    fn pods_of_somebody_elses_making_are_as_many_as_there_are() {
        let pool = resolved(&json!({"poolEnabled": true, "upstream": {"sidecar": {}}})).unwrap();
        let nobody = judge(Ok(&pool), None, &Fleet::default(), &calm(), None);
        let (ready, reason, text) = said(&nobody, Kind::Ready);
        assert_eq!((ready, reason), (false, Reason::NoInjectedPods));
        assert!(text.contains("mcpgateway.io/inject: p"), "{text}");
        let mut fleet = fleet(&["a", "b", "c"], &pool.rendering.revision);
        (fleet.pods[2].terminating, fleet.pods[2].ready) = (true, false);
        let verdicts = judge(Ok(&pool), None, &fleet, &calm(), None);
        assert_eq!(said(&verdicts, Kind::Ready), (true, Reason::AllProxiesReady, "2/2 proxies ready"));
        assert!(matches!(said(&verdicts, Kind::Progressing), (false, Reason::UpToDate, _)));
        fleet.pods[1].ready = false;
        let verdicts = judge(Ok(&pool), None, &fleet, &calm(), None);
        assert_eq!(said(&verdicts, Kind::Ready), (false, Reason::ProxiesNotReady, "1/2 proxies ready"));
        assert!(matches!(said(&verdicts, Kind::Progressing), (true, Reason::RollingOut, _)));
    }

    #[test]
    fn no_replica_is_not_ready() {
        let pool = resolved_pool(0);
        let verdicts = judge(Ok(&pool), Some(&settled(0)), &Fleet::default(), &calm(), None);
        assert!(matches!(said(&verdicts, Kind::Ready), (false, Reason::ScaledToZero, _)));
        assert!(matches!(said(&verdicts, Kind::Progressing), (false, Reason::UpToDate, _)));
    }
}
