//! The policies: who may drain and reset, and what puts proxies into pods that ask for one.

use crds::names;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::{Api, Client, ResourceExt, api::ListParams, core::Request};
use serde_json::Value;

use super::Finding;
use crate::{
    connect::Cluster,
    failure::{Asked, is_forbidden, words},
};

const ABOUT: &str = "policies";

/// Looks at them. `sidecars`: whether a pool relies on injection.
pub(super) async fn look(cluster: &Cluster, sidecars: bool) -> Vec<Finding> {
    let mut findings = match operations(&cluster.client).await {
        Ok(finding) => vec![finding],
        Err(error) => vec![unseen(&error, "validatingadmissionpolicies.admissionregistration.k8s.io")],
    };
    if sidecars {
        findings.push(injection(&cluster.client).await);
    }
    findings
}

fn unseen(error: &kube::Error, resource: &str) -> Finding {
    let asked = Asked { verb: "list", resource, namespace: None };
    let why = if is_forbidden(error) {
        format!(
            "you need the verb {} on {}, which an administrator of the cluster has",
            asked.verb, asked.resource
        )
    } else {
        words(error)
    };
    Finding::note(ABOUT, format!("they can't be looked at: {why}"))
}

async fn operations(client: &Client) -> kube::Result<Finding> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    let policies = policies.list(&ListParams::default()).await?.items;
    let bindings = bindings.list(&ListParams::default()).await?.items;
    let denies = |policy: &str| {
        bindings.iter().filter_map(|binding| binding.spec.as_ref()).any(|spec| {
            let actions = spec.validation_actions.as_deref().unwrap_or_default();
            spec.policy_name.as_deref() == Some(policy) && actions.iter().any(|action| action == "Deny")
        })
    };
    let guarded = |resource: &str| {
        policies.iter().filter(|policy| guards(policy, resource)).any(|policy| denies(&policy.name_any()))
    };
    let open: Vec<&str> =
        ["sessionpools", "sessionpools/scale"].into_iter().filter(|resource| !guarded(resource)).collect();
    Ok(if open.is_empty() {
        Finding::ok(ABOUT, "drain, reset, disable and scale to zero ask for update on sessionpools/operate")
    } else {
        let text = format!(
            "nothing guards {}: whoever may update a pool may drain, reset or stop it",
            open.join(" and ")
        );
        Finding::warning(
            ABOUT,
            text,
            "helm upgrade with permissions.operate=true, by an administrator of the cluster",
        )
    })
}

/// Whether a policy asks for the permission of the operations when this resource is updated.
fn guards(policy: &ValidatingAdmissionPolicy, resource: &str) -> bool {
    let Some(spec) = &policy.spec else { return false };
    let rules =
        spec.match_constraints.iter().flat_map(|constraints| constraints.resource_rules.iter().flatten());
    let covers = rules.into_iter().any(|rule| {
        let has =
            |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|entry| entry == wanted);
        has(&rule.api_groups, names::GROUP) && has(&rule.resources, resource)
    });
    let asks =
        spec.validations.iter().flatten().any(|validation| validation.expression.contains("'operate'"));
    covers && asks
}

async fn injection(client: &Client) -> Finding {
    const KIND: &str = "mutatingadmissionpolicies";
    let list = async |resource: &str| -> kube::Result<Vec<Value>> {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{resource}");
        let request = Request::new(path).list(&ListParams::default()).map_err(kube::Error::BuildRequest)?;
        let list: Value = client.request(request).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    };
    let policies = match list(KIND).await {
        Ok(policies) => policies,
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let text = "a pool has upstream.sidecar, and this cluster serves no MutatingAdmissionPolicy";
            return Finding::error(
                "injection",
                text,
                "upgrade to Kubernetes 1.36 or newer, or use upstream.template",
            );
        }
        Err(error) => return unseen(&error, "mutatingadmissionpolicies.admissionregistration.k8s.io"),
    };
    let bindings = list("mutatingadmissionpolicybindings").await.unwrap_or_default();
    let ours = policies.iter().filter(|policy| policy["spec"]["paramKind"]["kind"] == names::KIND);
    let mut bound = ours.filter(|policy| {
        bindings.iter().any(|binding| binding["spec"]["policyName"] == policy["metadata"]["name"])
    });
    match bound.next() {
        Some(_) => Finding::ok("injection", "pods that carry mcpgateway.io/inject get a proxy"),
        None => Finding::error(
            "injection",
            "a pool has upstream.sidecar, and no policy puts proxies into pods",
            "helm upgrade with injection=Enabled, by an administrator of the cluster; then restart the pods",
        ),
    }
}
