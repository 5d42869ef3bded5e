//! The operators: do they run, does one of them act, are they of this version?

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, Pod},
};
use kube::{Api, ResourceExt, api::ListParams};

use super::{Finding, leader};
use crate::{
    commands::OWN_VERSION,
    connect::Cluster,
    failure::{Asked, Failure, is_forbidden},
};

/// By which an operator's Deployment is known.
pub const SELECTOR: &str = "app.kubernetes.io/name=sessionpool-operator";
/// The operators that were found.
#[derive(Debug, Default)]
pub(super) struct Operators {
    /// Where they could be looked for, all of them.
    pub known: bool,
    /// Each.
    pub all: Vec<Found>,
}

/// An operator.
#[derive(Debug)]
pub(super) struct Found {
    /// Its name with its namespace.
    pub name: String,
    /// The namespaces that it watches; none stands for all.
    pub namespaces: Vec<String>,
    /// What proxies it makes.
    pub proxy_image: Option<String>,
}

impl Found {
    /// Whether it looks after the pools of a namespace.
    pub fn watches(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace)
    }
}

/// Looks for operators, everywhere or in one namespace.
pub(super) async fn look(
    cluster: &Cluster,
    namespace: Option<&str>,
) -> Result<(Vec<Finding>, Operators), Failure> {
    const ABOUT: &str = "operator";
    let api: Api<Deployment> = match namespace {
        Some(namespace) => Api::namespaced(cluster.client.clone(), namespace),
        None => Api::all(cluster.client.clone()),
    };
    let list = match api.list(&ListParams::default().labels(SELECTOR)).await {
        Ok(list) => list.items,
        Err(error) if is_forbidden(&error) => {
            let asked = Asked { verb: "list", resource: "deployments.apps", namespace };
            let hint =
                if namespace.is_some() { "" } else { "; or name its namespace by --operator-namespace" };
            let text = format!("it can't be looked for: {}{hint}", asked.missing());
            return Ok((vec![Finding::note(ABOUT, text)], Operators::default()));
        }
        Err(error) => {
            let asked = Asked { verb: "list", resource: "deployments.apps", namespace };
            return Err(Failure::of(&error, asked));
        }
    };
    if list.is_empty() {
        let place =
            namespace.map_or_else(|| "in this cluster".to_owned(), |name| format!("in namespace {name}"));
        let remedy = "install it: helm upgrade --install sessionpool charts/sessionpool --namespace sessionpool-system \
                      --create-namespace";
        let text = format!("there is none {place}: no Deployment has the label {SELECTOR}");
        let known = namespace.is_none();
        return Ok((vec![Finding::error(ABOUT, text, remedy)], Operators { known, all: Vec::new() }));
    }
    let mut findings = Vec::new();
    let mut operators = Operators { known: namespace.is_none(), all: Vec::new() };
    for deployment in &list {
        findings.push(running(cluster, deployment).await);
        findings.extend(leader::look(cluster, deployment).await);
        findings.extend(skew(deployment));
        operators.all.push(found(deployment));
    }
    findings.extend(rivals(&operators.all));
    Ok((findings, operators))
}

fn found(deployment: &Deployment) -> Found {
    let container = container(deployment);
    Found {
        name: place(deployment),
        namespaces: container
            .map(|container| values(container, "--watch-namespace", "WATCH_NAMESPACES"))
            .unwrap_or_default(),
        proxy_image: container.and_then(|container| values(container, "--proxy-image", "PROXY_IMAGE").pop()),
    }
}

pub(super) fn place(deployment: &Deployment) -> String {
    format!("{}/{}", deployment.namespace().unwrap_or_default(), deployment.name_any())
}

async fn running(cluster: &Cluster, deployment: &Deployment) -> Finding {
    const ABOUT: &str = "operator";
    let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.as_ref();
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or_default();
    let version = version_of(deployment).map(|version| format!(" {version}")).unwrap_or_default();
    let text = format!("{}{version}: {ready}/{wanted} ready", place(deployment));
    if wanted == 0 {
        let remedy = format!("kubectl -n {namespace} scale deployment/{name} --replicas=1");
        return Finding::error(ABOUT, format!("{text}; it is scaled to zero"), remedy);
    }
    if ready >= wanted {
        return Finding::ok(ABOUT, text);
    }
    let text = format!("{text}{}", trouble(cluster, deployment).await);
    let remedy = format!(
        "kubectl -n {namespace} describe pods -l {SELECTOR}\nkubectl -n {namespace} logs deployment/{name}"
    );
    if ready == 0 { Finding::error(ABOUT, text, remedy) } else { Finding::warning(ABOUT, text, remedy) }
}

/// What keeps its pods from running, as far as one may see it.
async fn trouble(cluster: &Cluster, deployment: &Deployment) -> String {
    let namespace = deployment.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &namespace);
    let pods =
        api.list(&ListParams::default().labels(SELECTOR)).await.map(|list| list.items).unwrap_or_default();
    let stuck = pods.iter().find_map(|pod| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        let waiting = statuses.iter().find_map(|status| status.state.as_ref()?.waiting.as_ref())?;
        let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        Some(format!("; {}: {}{message}", pod.name_any(), waiting.reason.as_deref().unwrap_or("waiting")))
    });
    let refused = || {
        let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
        let failed = conditions.iter().find(|condition| condition.type_ == "ReplicaFailure")?;
        Some(format!("; {}", failed.message.as_deref().unwrap_or("no pod can be made")))
    };
    stuck.or_else(refused).unwrap_or_default()
}

fn skew(deployment: &Deployment) -> Option<Finding> {
    const ABOUT: &str = "version";
    let version = version_of(deployment)?;
    if version == OWN_VERSION {
        return Some(Finding::ok(ABOUT, format!("operator and plugin are {OWN_VERSION}")));
    }
    let text = format!("the operator {} is {version}, this plugin is {OWN_VERSION}", place(deployment));
    Some(Finding::warning(ABOUT, text, format!("use the plugin of version {version}, or upgrade the chart")))
}

/// Two that look after the same pools, and don't know of each other.
fn rivals(operators: &[Found]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, one) in operators.iter().enumerate() {
        for other in &operators[index + 1..] {
            let both: Vec<&String> = one.namespaces.iter().filter(|name| other.watches(name)).collect();
            let overlap = match (one.namespaces.is_empty(), other.namespaces.is_empty()) {
                (true, true) => Some("all namespaces".to_owned()),
                (true, false) => Some(other.namespaces.join(", ")),
                _ if both.is_empty() => None,
                _ => Some(both.into_iter().cloned().collect::<Vec<_>>().join(", ")),
            };
            if let Some(namespaces) = overlap {
                let text = format!("{} and {} both look after {namespaces}", one.name, other.name);
                let remedy =
                    "uninstall one of the releases, or give each namespaces of its own (watchNamespaces)";
                findings.push(Finding::error("operator", text, remedy));
            }
        }
    }
    findings
}

pub(super) fn container(deployment: &Deployment) -> Option<&Container> {
    let containers = &deployment.spec.as_ref()?.template.spec.as_ref()?.containers;
    containers.iter().find(|container| container.name == "operator").or_else(|| containers.first())
}

/// The values of a flag, however it is given.
pub(super) fn values(container: &Container, flag: &str, variable: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = container.command.iter().flatten().chain(container.args.iter().flatten());
    while let Some(word) = words.next() {
        if let Some(value) = word.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
            found.push(value.to_owned());
        } else if word == flag {
            found.extend(words.next().cloned());
        }
    }
    if found.is_empty() {
        let mut env = container.env.iter().flatten();
        found.extend(env.find(|env| env.name == variable).and_then(|env| env.value.clone()));
    }
    let split = found.iter().flat_map(|value| value.split(','));
    split.filter(|value| !value.is_empty()).map(ToOwned::to_owned).collect()
}

/// The version that the chart has put on it.
pub fn version_of(deployment: &Deployment) -> Option<String> {
    deployment.labels().get("app.kubernetes.io/version").cloned()
}

/// Its image.
pub fn image_of(deployment: &Deployment) -> Option<String> {
    container(deployment)?.image.clone()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn deployment(name: &str, args: &[&str], env: &Value) -> Deployment {
        let container = json!({"name": "operator", "args": args, "env": env});
        let spec = json!({"selector": {}, "template": {"spec": {"containers": [container]}}});
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "system"}, "spec": spec}))
            .unwrap()
    }

    #[test]
    fn flags_are_read_however_they_are_given() {
        let args = ["--proxy-image", "proxy:1", "--watch-namespace=a", "--watch-namespace=b,c"];
        let operator = found(&deployment("one", &args, &json!([])));
        assert_eq!(operator.namespaces, ["a", "b", "c"]);
        assert_eq!(operator.proxy_image.as_deref(), Some("proxy:1"));
        let env = json!([{"name": "WATCH_NAMESPACES", "value": "d"}]);
        assert_eq!(found(&deployment("two", &[], &env)).namespaces, ["d"]);
    }

    #[test]
    fn rivals_are_found() {
        let of = |name: &str, args: &[&str]| found(&deployment(name, args, &json!([])));
        let apart = [of("one", &["--watch-namespace=a"]), of("two", &["--watch-namespace=b"])];
        assert!(rivals(&apart).is_empty());
        let both = [of("one", &[]), of("two", &["--watch-namespace=b"])];
        assert!(rivals(&both)[0].message.ends_with("both look after b"));
    }
}
