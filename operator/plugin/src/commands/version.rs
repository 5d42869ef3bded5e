//! `version`: of the plugin, of the operator, of the API server.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt, api::ListParams};
use serde::Serialize;

use crate::{
    args::Printed,
    check::operator::{SELECTOR, image_of, version_of},
    connect::Cluster,
    failure::{Asked, Failure},
    output::{lines, print},
};

/// This plugin's version.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Versions {
    plugin: &'static str,
    api: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operators: Vec<Operator>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Serialize)]
struct Operator {
    name: String,
    namespace: String,
    version: Option<String>,
    image: Option<String>,
}

/// The plugin's alone.
pub fn own(printed: Printed) -> Result<(), Failure> {
    let versions = Versions {
        plugin: OWN,
        api: crds::names::API_VERSION,
        kubernetes: None,
        operators: Vec::new(),
        note: None,
    };
    print(printed.output, &versions, text)
}

/// That, and what is in the cluster.
pub async fn all(cluster: &Cluster, printed: Printed) -> Result<(), Failure> {
    let asked = Asked { verb: "get", resource: "/version", namespace: None };
    let server = cluster.client.apiserver_version().await.map_err(|error| Failure::of(&error, asked))?;
    let api: Api<Deployment> = Api::all(cluster.client.clone());
    let (operators, note) = match api.list(&ListParams::default().labels(SELECTOR)).await {
        Ok(list) => (list.items, None),
        Err(error) => {
            let asked = Asked { verb: "list", resource: "deployments.apps", namespace: None };
            (Vec::new(), Some(format!("the operator is not looked for: {}", Failure::of(&error, asked))))
        }
    };
    let operator = |deployment: Deployment| Operator {
        name: deployment.name_any(),
        namespace: deployment.namespace().unwrap_or_default(),
        version: version_of(&deployment),
        image: image_of(&deployment),
    };
    let versions = Versions {
        plugin: OWN,
        api: crds::names::API_VERSION,
        kubernetes: Some(server.git_version),
        operators: operators.into_iter().map(operator).collect(),
        note,
    };
    print(printed.output, &versions, text)
}

fn text(versions: &Versions) -> String {
    let mut said = vec![format!("plugin:     {} ({})", versions.plugin, versions.api)];
    for operator in &versions.operators {
        let version = operator.version.as_deref().unwrap_or("of unknown version");
        let image = operator.image.as_deref().unwrap_or("-");
        said.push(format!("operator:   {version} ({}/{}, {image})", operator.namespace, operator.name));
    }
    said.extend(versions.kubernetes.iter().map(|version| format!("Kubernetes: {version}")));
    said.extend(versions.note.clone());
    lines(said)
}
