//! The pools: are they looked after, and which are not ready, and why?

use std::time::Duration;

use crds::{Phase, SessionPool};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::{Finding, Scope, operator::Operators};
use crate::{
    connect::Cluster,
    failure::Failure,
    fleet,
    output::count,
    page,
    pools::{self, condition},
};

/// A pool that is younger may still be starting.
const STARTING: SignedDuration = SignedDuration::from_secs(120);
/// What the operator gets to take note of a change.
const NOTICE: Duration = Duration::from_secs(4);

/// Looks at them. Also tells whether one relies on injection.
pub(super) async fn look(
    cluster: &Cluster,
    scope: &Scope,
    operators: &Operators,
) -> Result<(Vec<Finding>, bool), Failure> {
    const ABOUT: &str = "pools";
    let mut findings = Vec::new();
    let list = async || match pools::list(cluster, !scope.named).await {
        // Without -n or -A what may be seen is looked at.
        Err(Failure::Forbidden(_)) if !scope.named && !scope.everywhere => pools::list(cluster, false).await,
        list => list,
    };
    let mut all = match list().await {
        Ok(all) => all,
        Err(failure @ Failure::Forbidden(_)) => {
            return Ok((vec![Finding::note(ABOUT, format!("they can't be looked at: {failure}"))], false));
        }
        Err(failure) => return Err(failure),
    };
    if all.iter().any(|pool| !is_seen(pool)) {
        tokio::time::sleep(NOTICE).await;
        all = list().await?;
    }
    let now = Timestamp::now();
    let judged: Vec<Finding> = all.iter().filter_map(|pool| judge(pool, operators, now)).collect();
    let fine = all.len() - judged.len();
    if fine > 0 {
        findings.push(Finding::ok(ABOUT, format!("{} ready", count(fine as u64, "is", "are"))));
    } else if all.is_empty() {
        findings.push(Finding::note(ABOUT, "there is none"));
    }
    findings.extend(judged);
    for pool in all.iter().filter(|pool| is_settled(pool)) {
        findings.extend(images(cluster, pool, operators).await);
    }
    Ok((findings, all.iter().any(|pool| pool.spec.upstream.sidecar.is_some())))
}

fn is_seen(pool: &SessionPool) -> bool {
    pool.status.as_ref().is_some_and(|status| status.observed_generation >= pool.metadata.generation)
}

fn is_settled(pool: &SessionPool) -> bool {
    let progressing = condition(pool, "Progressing").is_some_and(|progressing| progressing.status == "True");
    is_seen(pool) && !progressing && pool.spec.upstream.sidecar.is_none()
}

/// What is to be said of a pool; nothing if it is as it should be.
fn judge(pool: &SessionPool, operators: &Operators, now: Timestamp) -> Option<Finding> {
    let namespace = pool.namespace().unwrap_or_default();
    let name = pool.name_any();
    let about = format!("{namespace}/{name}");
    if !is_seen(pool) {
        let text = if pool.status.is_some() {
            "nobody acts on its newest specification"
        } else {
            "nobody looks after it"
        };
        let remedy = if operators.known && !operators.all.iter().any(|operator| operator.watches(&namespace))
        {
            format!("no operator watches namespace {namespace}: add it to watchNamespaces of the chart")
        } else {
            "see what is said of the operator above, and its log".to_owned()
        };
        return Some(Finding::error(&about, text, remedy));
    }
    let phase = pool.status.as_ref().and_then(|status| status.phase).unwrap_or_default();
    let why = page::why(pool).unwrap_or_default();
    let young = pool.creation_timestamp().is_some_and(|time| now.duration_since(time.0) < STARTING);
    let reason = reason(pool, phase);
    match phase {
        Phase::Active => None,
        Phase::Disabled | Phase::Resetting | Phase::Draining => Some(Finding::note(&about, why)),
        Phase::Drained => {
            let text = format!(
                "it is drained: `kubectl sessionpool -n {namespace} resume {name}` has it serve again"
            );
            Some(Finding::note(&about, text))
        }
        Phase::Pending if reason == "ScaledToZero" => Some(Finding::note(&about, why)),
        Phase::Pending if young && reason == "ProxiesNotReady" => {
            Some(Finding::note(&about, format!("it is starting: {why}")))
        }
        Phase::Pending | Phase::Degraded | Phase::Failed => {
            let text = format!("{phase:?}, {reason}: {why}");
            Some(Finding::error(&about, text, remedy(&reason, &namespace, &name)))
        }
    }
}

/// The reason of the condition that the phase comes from.
fn reason(pool: &SessionPool, phase: Phase) -> String {
    let kind = match phase {
        Phase::Failed => "Resolved",
        Phase::Degraded => "Degraded",
        _ => "Ready",
    };
    condition(pool, kind).map(|condition| condition.reason.clone()).unwrap_or_default()
}

fn remedy(reason: &str, namespace: &str, name: &str) -> String {
    let plugin = format!("kubectl sessionpool -n {namespace}");
    match reason {
        "UpstreamUnreachable" => format!(
            "see that the MCP server of the pool runs and that spec.upstream names it rightly; `{plugin} logs {name}` tells what \
             the proxies met"
        ),
        "ConfigurationRejected" => {
            format!("change the field that the message names; `{plugin} logs {name}` tells more")
        }
        "PodsFailing" => format!(
            "kubectl -n {namespace} describe pods -l mcpgateway.io/pool={name}\n{plugin} logs {name} --previous"
        ),
        "ProxiesUnreachable" => {
            format!("let the operator reach port 9090 of the pods in {namespace}: see their NetworkPolicies")
        }
        "PoolExhausted" => format!(
            "`{plugin} optimize {name}` tells which size fits; `{plugin} config set {name} poolMaxSize=N` sets it"
        ),
        "UnhealthySessions" => {
            format!("`{plugin} sessions {name}` shows them; see the log of the MCP server")
        }
        "NameConflict" => {
            format!("rename the pool, or remove the object that the message names from namespace {namespace}")
        }
        "InvalidSpec" | "NotSupported" => {
            format!("change the field that the message names: kubectl -n {namespace} edit sessionpool {name}")
        }
        "ServiceNotFound" | "PortNotFound" => {
            format!(
                "create the Service that spec.upstream.serviceRef names in namespace {namespace}, or name another"
            )
        }
        "NoInjectedPods" => {
            format!(
                "put the label mcpgateway.io/inject: {name} into the pod template of the MCP server's Deployment"
            )
        }
        "ApplyFailed" => {
            "let the operator do what the message says it may not: helm upgrade restores its role".to_owned()
        }
        _ => format!("`{plugin} status {name}` tells more"),
    }
}

/// Proxies of another image than the operator makes.
async fn images(cluster: &Cluster, pool: &SessionPool, operators: &Operators) -> Option<Finding> {
    let namespace = pool.namespace()?;
    let makers: Vec<&str> = operators
        .all
        .iter()
        .filter(|operator| operator.watches(&namespace))
        .filter_map(|operator| operator.proxy_image.as_deref())
        .collect();
    let wanted = match (&pool.spec.proxy.image, makers.as_slice()) {
        (Some(image), _) => image.as_str(),
        (None, [image]) => image,
        _ => return None,
    };
    let fleet = fleet::images(&cluster.within(&namespace), &pool.name_any()).await.ok()?;
    let others: Vec<String> = fleet.into_iter().filter(|image| image != wanted).collect();
    let other = others.first()?;
    let text = format!(
        "{} {other}, and should run {wanted}",
        count(others.len() as u64, "proxy runs", "proxies run")
    );
    let remedy = "the operator replaces them by itself; see its log if this stays so";
    Some(Finding::warning(&format!("{namespace}/{}", pool.name_any()), text, remedy))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::Level;

    fn judged(status: &Value) -> Option<Finding> {
        let pool: SessionPool = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "team", "generation": 2, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"upstream": {"url": "u"}}, "status": status
        }))
        .unwrap();
        judge(&pool, &Operators { known: true, all: Vec::new() }, "2026-01-02T00:00:00Z".parse().unwrap())
    }

    fn with(phase: &str, kind: &str, holds: &str, reason: &str) -> Value {
        json!({"observedGeneration": 2, "phase": phase, "conditions": [{
            "type": kind, "status": holds, "reason": reason, "message": "so it is", "lastTransitionTime": "2026-01-01T00:00:00Z"
        }]})
    }

    #[test]
    fn a_pool_that_is_active_is_no_finding() {
        assert_eq!(judged(&json!({"observedGeneration": 2, "phase": "Active"})), None);
    }

    #[test]
    fn what_is_wrong_comes_with_a_remedy() {
        let unseen = judged(&json!({"observedGeneration": 1, "phase": "Active"})).unwrap();
        assert!(unseen.remedy.unwrap().contains("watchNamespaces"));
        let cases = [
            (with("Degraded", "Degraded", "True", "PoolExhausted"), Level::Error, "poolMaxSize=N"),
            (with("Failed", "Resolved", "False", "NotSupported"), Level::Error, "edit sessionpool web"),
            (with("Pending", "Ready", "False", "ProxiesNotReady"), Level::Error, "status web"),
        ];
        for (status, level, says) in cases {
            let finding = judged(&status).unwrap();
            assert_eq!(finding.level, level);
            assert!(finding.message.contains("so it is"), "{finding:?}");
            assert!(finding.remedy.as_deref().is_some_and(|remedy| remedy.contains(says)), "{finding:?}");
        }
        assert_eq!(judged(&with("Drained", "Drained", "True", "DrainCompleted")).unwrap().level, Level::Note);
        assert_eq!(judged(&with("Pending", "Ready", "False", "ScaledToZero")).unwrap().level, Level::Note);
    }
}
