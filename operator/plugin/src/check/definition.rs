//! The API server, and the definition of SessionPools on it.

use std::collections::BTreeSet;

use crds::{names, schema};
use kube::core::Request;
use serde_json::Value;

use super::Finding;
use crate::{
    connect::Cluster,
    failure::{Asked, Failure},
};

/// The oldest minor version of Kubernetes that the pools run on.
const OLDEST: u32 = 33;
/// Fields that are named, of those that are missing.
const NAMED: usize = 5;

/// Whether it answers, and is new enough.
pub(super) async fn server(cluster: &Cluster) -> Result<Finding, Failure> {
    let asked = Asked { verb: "get", resource: "/version", namespace: None };
    let version = cluster.client.apiserver_version().await.map_err(|error| Failure::of(&error, asked))?;
    let text = format!("Kubernetes {} at {}", version.git_version, cluster.server);
    let minor: String = version.minor.chars().take_while(char::is_ascii_digit).collect();
    Ok(match minor.parse::<u32>() {
        Ok(minor) if version.major == "1" && minor < OLDEST => Finding::error(
            "API server",
            text,
            format!("SessionPools need Kubernetes 1.{OLDEST} or newer: upgrade it"),
        ),
        _ => Finding::ok("API server", text),
    })
}

/// Whether SessionPools are served, and have the fields that this plugin knows.
pub(super) async fn look(cluster: &Cluster) -> Result<(Vec<Finding>, bool), Failure> {
    const ABOUT: &str = "definition";
    let asked = Asked { verb: "get", resource: "/apis", namespace: None };
    let groups = cluster.client.list_api_groups().await.map_err(|error| Failure::of(&error, asked))?;
    let Some(group) = groups.groups.into_iter().find(|group| group.name == names::GROUP) else {
        let remedy = "install the chart with crds.install: helm upgrade --install sessionpool charts/sessionpool \
                      --namespace sessionpool-system --create-namespace";
        return Ok((vec![Finding::error(ABOUT, "this cluster has no SessionPools", remedy)], false));
    };
    let versions: Vec<String> = group.versions.into_iter().map(|version| version.group_version).collect();
    if !versions.iter().any(|version| version == names::API_VERSION) {
        let text =
            format!("{} is served, and this plugin speaks {}", versions.join(", "), names::API_VERSION);
        return Ok((vec![Finding::error(ABOUT, text, "use a plugin of the operator's version")], false));
    }
    let path = format!("/openapi/v3/apis/{}", names::API_VERSION);
    let request = Request::new(&path).list(&kube::api::ListParams::default());
    let request = request.map_err(|error| Failure::Other(error.to_string()))?;
    let published = match cluster.client.request::<Value>(request).await {
        Ok(published) => published,
        Err(error) => {
            let text = format!("{} is served; its fields can't be read: {error}", names::API_VERSION);
            return Ok((vec![Finding::note(ABOUT, text)], true));
        }
    };
    let theirs = &published["components"]["schemas"]["io.mcpgateway.v1alpha1.SessionPool"];
    if theirs.is_null() {
        // The API server publishes a new definition a moment later.
        return Ok((vec![Finding::note(ABOUT, "its fields are not published yet: try again")], true));
    }
    Ok((vec![compare(&ours()?, &fields(theirs))], true))
}

fn ours() -> Result<BTreeSet<String>, Failure> {
    let crd = schema::json().map_err(|error| Failure::Other(error.to_string()))?;
    Ok(fields(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))
}

/// Every field below spec and status, also within lists.
fn fields(schema: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in ["spec", "status"] {
        collect(&schema["properties"][part], part, &mut found);
    }
    found
}

fn collect(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let inner = if schema["items"].is_object() { &schema["items"] } else { schema };
    for (name, schema) in inner["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        collect(schema, &path, found);
        found.insert(path);
    }
}

fn compare(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Finding {
    const ABOUT: &str = "definition";
    let some = |fields: Vec<&String>| {
        let more =
            if fields.len() > NAMED { format!(" and {} more", fields.len() - NAMED) } else { String::new() };
        let names: Vec<&str> = fields.iter().take(NAMED).map(|field| field.as_str()).collect();
        format!("{}{more}", names.join(", "))
    };
    let missing: Vec<&String> = ours.difference(theirs).collect();
    let further: Vec<&String> = theirs.difference(ours).collect();
    if !missing.is_empty() {
        let text = format!("it is older than this plugin: it lacks {}", some(missing));
        let remedy = "upgrade the chart with crds.install (helm upgrade), or kubectl apply --server-side -f crds/sessionpool.yaml; \
                      or use a plugin of the operator's version";
        return Finding::warning(ABOUT, text, remedy);
    }
    if !further.is_empty() {
        let text = format!("it is newer than this plugin: it has {}, too", some(further));
        return Finding::warning(ABOUT, text, "use a plugin of the operator's version");
    }
    Finding::ok(ABOUT, format!("{}, with the fields that this plugin knows", names::API_VERSION))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Level;

    #[test]
    fn an_older_and_a_newer_definition_are_told() {
        let ours = ours().unwrap();
        assert!(ours.contains("spec.upstream.endpoints.weight") && ours.contains("status.drain.startTime"));
        assert_eq!(compare(&ours, &ours).level, Level::Ok);
        let mut older = ours.clone();
        older.remove("spec.pinning.tools");
        assert!(compare(&ours, &older).message.contains("lacks spec.pinning.tools"));
        let newer: BTreeSet<String> = ours.iter().cloned().chain(["spec.colour".to_owned()]).collect();
        assert!(compare(&ours, &newer).message.contains("newer"));
    }
}
