//! The SessionPools of a cluster, and which one was meant by a name that is not there.

use crds::{SessionPool, names};
use kube::{Api, ResourceExt, api::ListParams};

use crate::{
    connect::Cluster,
    failure::{Asked, Failure},
};

/// The resource, as permissions call it.
pub const RESOURCE: &str = "sessionpools.mcpgateway.io";

/// Most names that are suggested.
const SUGGESTIONS: usize = 5;

/// Reads one pool.
///
/// # Errors
/// If it is not there: with names that are near, and namespaces that have one of that name.
pub async fn get(cluster: &Cluster, name: &str) -> Result<SessionPool, Failure> {
    let asked = Asked { verb: "get", resource: RESOURCE, namespace: Some(&cluster.namespace) };
    match cluster.api::<SessionPool>().get(name).await {
        Ok(pool) => Ok(pool),
        Err(error) => match Failure::of(&error, asked) {
            Failure::NotFound(_) => Err(Failure::NotFound(missing(cluster, name).await)),
            failure => Err(failure),
        },
    }
}

/// Lists pools, of the namespace or of all, by namespace and name.
pub async fn list(cluster: &Cluster, everywhere: bool) -> Result<Vec<SessionPool>, Failure> {
    let (api, namespace) = if everywhere {
        (Api::all(cluster.client.clone()), None)
    } else {
        (cluster.api(), Some(cluster.namespace.as_str()))
    };
    let asked = Asked { verb: "list", resource: RESOURCE, namespace };
    let mut pools: Vec<SessionPool> =
        api.list(&ListParams::default()).await.map_err(|error| Failure::of(&error, asked))?.items;
    pools.sort_by_key(|pool| (pool.namespace(), pool.name_any()));
    Ok(pools)
}

async fn missing(cluster: &Cluster, name: &str) -> String {
    let namespace = &cluster.namespace;
    let mut parts = vec![format!("there is no SessionPool {name} in namespace {namespace}")];
    // Whoever may not list everything is told what is in the namespace.
    let known = match list(cluster, true).await {
        Ok(pools) => pools,
        Err(_) => list(cluster, false).await.unwrap_or_default(),
    };
    let known: Vec<(String, String)> =
        known.into_iter().map(|pool| (pool.namespace().unwrap_or_default(), pool.name_any())).collect();
    let elsewhere: Vec<&str> = known
        .iter()
        .filter(|(other, pool)| pool == name && other != namespace)
        .map(|(other, _)| other.as_str())
        .collect();
    let here: Vec<&str> =
        known.iter().filter(|(other, _)| other == namespace).map(|(_, pool)| pool.as_str()).collect();
    let near = near(name, &here);
    if !elsewhere.is_empty() {
        parts.push(format!("there is one in {}: use -n {}", elsewhere.join(", "), elsewhere[0]));
    }
    if !near.is_empty() {
        parts.push(format!("did you mean {}?", near.join(" or ")));
    } else if elsewhere.is_empty() {
        parts.push(match here.as_slice() {
            [] => "it has none: -n chooses another, `kubectl sessionpool status -A` shows all".to_owned(),
            few if few.len() <= SUGGESTIONS => format!("there are {}", few.join(", ")),
            many => format!("there are {}, `kubectl sessionpool status` shows them", many.len()),
        });
    }
    parts.join("; ")
}

/// The names that may have been meant, nearest first.
fn near<'a>(name: &str, known: &[&'a str]) -> Vec<&'a str> {
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|candidate| {
            let distance = strsim::damerau_levenshtein(name, candidate);
            let part = name.len() > 2 && (candidate.contains(name) || name.contains(candidate));
            (part || distance <= (name.len() / 3).max(1)).then_some((distance, *candidate))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, name)| name).take(SUGGESTIONS).collect()
}

/// `<namespace>.<name>`, as REST and metrics call a pool.
pub fn server_id(pool: &SessionPool) -> String {
    format!("{}.{}", pool.namespace().unwrap_or_default(), pool.name_any())
}

/// The selector of its pods.
pub fn selector(name: &str) -> ListParams {
    ListParams::default().labels(&format!("{}={name}", names::POOL_LABEL))
}

/// A condition of a pool.
pub fn condition<'a>(
    pool: &'a SessionPool,
    kind: &str,
) -> Option<&'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition> {
    pool.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == kind)
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn near_names_are_found() {
        let known = ["everything", "github", "github-enterprise", "files"];
        assert_eq!(near("evrything", &known), ["everything"]);
        assert_eq!(near("github-pool", &known), ["github"]);
        assert_eq!(near("gihtub", &known), ["github"]);
        assert!(near("x", &known).is_empty());
    }
}
