//! The proxies' pods, their Service, and what guards them.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LocalObjectReference, ResourceRequirements},
    apimachinery::pkg::util::intstr::IntOrString,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::grammar::IMAGE;

/// The proxies' container and pod.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Image of the proxy. Default: the operator's --proxy-image. Example: registry.example.com/sessionpool-proxy:0.1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = IMAGE))]
    pub image: Option<String>,
    /// Secrets for pulling the pod's images. Default: none. Example: [{name: registry}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
    /// Requests and limits of the proxy's container. Default: none. Example: {limits: {memory: 128Mi}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// The proxy's RUST_LOG. Default: info. Example: "info,proxy::pool=debug".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub log_filter: Option<String>,
    /// Changes to the pod template that the operator builds, merged as kubectl patch does. Default: none.
    /// Example: {spec: {priorityClassName: high}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<serde_json::Value>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// The Service in front of the proxies.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Type of the Service. Default: ClusterIP. Example: LoadBalancer.
    #[serde(rename = "type", default)]
    pub type_: ServiceType,
    /// Port of the Service. Default: 8080. Example: 80.
    #[serde(default = "port")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Annotations of the Service. Default: none. Example: {example.com/team: agents}.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

fn annotations(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 4096 }
    })
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self { type_: ServiceType::default(), port: port(), annotations: BTreeMap::new() }
    }
}

fn port() -> i32 {
    8080
}

/// See [`ServiceSpec::type_`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every node.
    NodePort,
    /// Through the cloud's load balancer.
    LoadBalancer,
}

/// Objects that guard the proxies.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Guard {
    /// maxUnavailable of a PodDisruptionBudget for the proxies. Default: 1 where replicas is more than 1, else no budget.
    /// Example: 50%.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<IntOrString>,
    /// Managed makes a NetworkPolicy: clients come from anywhere, and only the operator and namespaces labelled
    /// mcpgateway.io/scrape=true read statistics. Default: None. Example: Managed.
    #[serde(default)]
    pub network_policy: NetworkPolicyMode,
}

/// See [`Guard::network_policy`].
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum NetworkPolicyMode {
    /// The operator makes it.
    Managed,
    /// There is none.
    #[default]
    None,
}
