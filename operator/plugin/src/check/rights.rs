//! What whoever asks may do, and which commands need what they may not.

use futures::future::join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, api::PostParams};

use super::Finding;
use crate::connect::Cluster;

const ABOUT: &str = "your rights";

/// A permission: verb, group, resource, subresource, and the commands that need it.
type Need = (&'static str, &'static str, &'static str, &'static str, &'static str);

const NEEDS: [Need; 9] = [
    ("get", "mcpgateway.io", "sessionpools", "", "all commands"),
    ("list", "mcpgateway.io", "sessionpools", "", "status without a name, completion of names"),
    ("list", "", "pods", "", "proxies in status, live numbers"),
    ("get", "", "pods", "proxy", "live numbers in status and stats; sessions, optimize"),
    ("get", "", "pods", "log", "logs"),
    ("list", "", "events", "", "events in status"),
    ("patch", "mcpgateway.io", "sessionpools", "", "config set, optimize --apply, drain, resume, reset"),
    ("update", "mcpgateway.io", "sessionpools", "operate", "drain, resume, reset"),
    ("get", "apps", "deployments", "", "check, version"),
];

/// Asks for each.
pub(super) async fn look(cluster: &Cluster) -> Vec<Finding> {
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answers = join_all(NEEDS.iter().map(|need| allowed(&api, &cluster.namespace, *need))).await;
    let mut lacking = Vec::new();
    for (need, answer) in NEEDS.iter().zip(answers) {
        let (verb, group, resource, subresource, commands) = need;
        match answer {
            Ok(true) => {}
            Ok(false) => {
                let dot = if group.is_empty() { "" } else { "." };
                let slash = if subresource.is_empty() { "" } else { "/" };
                lacking.push(Finding::note(
                    ABOUT,
                    format!("you lack {verb} on {resource}{dot}{group}{slash}{subresource} in namespace {}: {commands}", cluster.namespace),
                ));
            }
            Err(error) => return vec![Finding::note(ABOUT, format!("they can't be looked at: {error}"))],
        }
    }
    if lacking.is_empty() {
        let text = format!("they suffice for every command in namespace {}", cluster.namespace);
        return vec![Finding::ok(ABOUT, text)];
    }
    lacking
}

async fn allowed(
    api: &Api<SelfSubjectAccessReview>,
    namespace: &str,
    (verb, group, resource, subresource, _): Need,
) -> kube::Result<bool> {
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
