//! The operator's role is the least: with all of it nothing is forbidden, and without any one verb something is.

use anyhow::{Result, ensure};
use crds::names;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
    policy::v1::PodDisruptionBudget,
    rbac::v1::PolicyRule,
};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};

use crate::{
    bench::{Bench, Binding, account, shared, somebody, until},
    fleet::run_pods,
    process::Operator,
    rest::Person,
};

/// Operators that run at once.
const AT_ONCE: usize = 6;

const POOL: &str = r"
apiVersion: mcpgateway.io/v1alpha1
kind: SessionPool
metadata: {name: web}
spec:
  poolEnabled: true
  isolation: Shared
  upstream: {serviceRef: {name: server, port: 80}}
";

const SERVER: &str = r"
apiVersion: v1
kind: Service
metadata: {name: server}
spec: {ports: [{port: 80}]}
";

/// Changes that between them ask for everything that an operator does.
fn changes() -> Vec<Value> {
    let spec = |spec: Value| json!({"spec": spec});
    let drained = |word: &str| spec(json!({"desiredState": word, "drain": {"timeoutSeconds": 0}}));
    vec![
        spec(json!({"replicas": 2, "guard": {"networkPolicy": "Managed"}})),
        spec(json!({"poolMaxSize": 11, "guard": {"maxUnavailable": 2}})),
        drained("Drained"),
        drained("Active"),
        // The same events once more: they are counted up, not written anew.
        drained("Drained"),
        drained("Active"),
        spec(json!({"replicas": 1, "guard": null, "poolMaxSize": 12})),
    ]
}

/// The operator's rules, one for each resource and verb.
fn rights() -> Result<Vec<PolicyRule>> {
    let mut rules = Vec::new();
    for file in ["operator", "lease", "api"] {
        let path = tests::repository().join(format!("operator/roles/{file}.yaml"));
        let role: Value = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
        rules.extend(serde_json::from_value::<Vec<PolicyRule>>(role["rules"].clone())?);
    }
    let mut rights = Vec::new();
    for rule in rules {
        for resource in rule.resources.iter().flatten() {
            for verb in &rule.verbs {
                rights.push(PolicyRule {
                    resources: Some(vec![resource.clone()]),
                    verbs: vec![verb.clone()],
                    ..rule.clone()
                });
            }
        }
    }
    Ok(rights)
}

/// A namespace with an operator that has these rights there and no others.
async fn bench(rights: &[PolicyRule]) -> Result<Bench> {
    let plane = shared().await?;
    let namespace = plane.namespace("verbs").await?;
    let is_review =
        |right: &&PolicyRule| right.resources.iter().flatten().all(|name| name.ends_with("reviews"));
    let (reviews, others): (Vec<&PolicyRule>, Vec<_>) = rights.iter().partition(is_review);
    let everywhere = format!("{namespace}-reviews");
    for (kind, name, rules) in [("Role", "operator", others), ("ClusterRole", &everywhere, reviews)] {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "rules": rules
        });
        plane.apply_yaml_in(&namespace, &role.to_string()).await?;
    }
    let roles = [
        Binding { kind: "Role", role: "operator", namespace: Some(&namespace) },
        Binding { kind: "ClusterRole", role: &everywhere, namespace: None },
    ];
    let file = somebody(plane, &roles).await?;
    let env = [("POD_NAMESPACE", namespace.as_str()), ("LEASE_NAME", "operator")];
    let operator = Operator::launch(&file, Some(&namespace), &env).await?;
    Ok(Bench { client: plane.client()?, namespace, operator })
}

/// Leads the operator through all it does.
async fn exercise(bench: &Bench) -> Result<()> {
    bench.apply_as::<Service>(SERVER).await?;
    bench.apply(POOL).await?;
    let reports = run_pods(bench, 1).await?;
    for change in changes() {
        let before = bench.children("web").await?.revision()?;
        bench.patch("web", change.clone()).await?;
        let generation = bench.pool("web").await?.metadata.generation;
        bench.status("web", |status| status.observed_generation == generation).await?;
        let revision = bench.children("web").await?.revision()?;
        if revision != before {
            until("a nudge", async || {
                let pods = bench.api::<Pod>().list(&ListParams::default()).await?.items;
                let told = |pod: &Pod| pod.annotations().get(names::CONFIG_REVISION) == Some(&revision);
                Ok(pods.iter().any(told).then_some(()))
            })
            .await?;
        }
        let drained = change["spec"]["desiredState"] == "Drained";
        reports.send_modify(|stats| {
            stats.config_revision = Some(revision);
            (if drained { "drained" } else { "active" }).clone_into(&mut stats.status);
            (stats.total_sessions, stats.active_leases) = (0, 0);
        });
        if drained {
            bench.condition("web", "Drained", "True", "DrainCompleted").await?;
        }
    }
    until("what guarded the proxies to be gone", async || {
        let gone = bench.api::<PodDisruptionBudget>().list(&ListParams::default()).await?.items.is_empty();
        Ok(gone.then_some(()))
    })
    .await?;
    bench.patch("web", json!({"spec": {"upstream": {"serviceRef": null, "sidecar": {}}}})).await?;
    until("the proxies and their Service to be gone", async || {
        let proxies = bench.api::<Deployment>().get_opt(&names::deployment("web")).await?;
        let service = bench.api::<Service>().get_opt(&names::service("web")).await?;
        Ok((proxies.is_none() && service.is_none()).then_some(()))
    })
    .await?;
    rest(bench).await
}

/// Reads, changes and resets the pool by REST.
async fn rest(bench: &Bench) -> Result<()> {
    let file = account(shared().await?, "cluster-admin", Some(&bench.namespace)).await?;
    let admin = Person::of(&file, bench.operator.api.parse()?, &bench.namespace).await?;
    let path = |below: &str| format!("/api/servers/{}.web/pool/{below}", bench.namespace);
    let change = json!({"pool_max_size": 13});
    until("REST to tell the parameters", async || {
        Ok((admin.caller.get(&path("config")).await?.status == 200).then_some(()))
    })
    .await?;
    until("REST to change them", async || {
        Ok((admin.caller.put(&path("config"), &change).await?.status == 200).then_some(()))
    })
    .await?;
    until("REST to reset the pool", async || {
        Ok((admin.caller.post(&path("reset")).await?.status == 202).then_some(()))
    })
    .await
}

/// Whether something is forbidden on the way.
async fn lacks(bench: &Bench) -> Result<bool> {
    let refused = until("a refusal", async || Ok((bench.operator.forbidden().await? > 0.0).then_some(())));
    tokio::select! {
        done = exercise(bench) => done?,
        refused = refused => refused?,
    }
    Ok(bench.operator.forbidden().await? > 0.0)
}

#[tokio::test]
async fn the_operators_rights_suffice() -> Result<()> {
    let bench = bench(&rights()?).await?;
    ensure!(!lacks(&bench).await?, "something is forbidden: see the operator's log");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_right_of_the_operator_is_spare() -> Result<()> {
    let rights = rights()?;
    let without = |spare: usize| {
        let mut least = rights.clone();
        let left_out = least.remove(spare);
        async move {
            let lacking = lacks(&bench(&least).await?).await?;
            let right = format!("{:?} {:?}", left_out.verbs, left_out.resources.unwrap_or_default());
            Ok::<_, anyhow::Error>((!lacking).then_some(right))
        }
    };
    let tried: Vec<_> =
        stream::iter(0..rights.len()).map(without).buffer_unordered(AT_ONCE).try_collect().await?;
    let spare: Vec<_> = tried.into_iter().flatten().collect();
    println!("{} rights, left out one by one", rights.len());
    ensure!(spare.is_empty(), "nothing needs {spare:?}");
    Ok(())
}
