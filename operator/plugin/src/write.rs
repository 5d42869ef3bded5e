//! Changing a pool by server-side apply, with a field manager of the plugin's own: manifests of GitOps, which leave
//! `desiredState` and `resetToken` out, don't take them back.

use crds::{SessionPool, applied, names};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams, ValidationDirective},
};
use serde_json::{Map, Value, json};

use crate::{
    args::{Change, DryRun},
    connect::Cluster,
    failure::{Asked, Failure},
    pools,
};

/// The field manager.
pub const FIELD_MANAGER: &str = "sessionpool-kubectl";

/// How often a change is begun anew, since somebody else was quicker.
const ATTEMPTS: usize = 5;

/// Changes the specification of a pool. `change` gets the fields that the plugin has applied so far.
///
/// # Errors
/// If the change is refused, or the pool is not there.
pub async fn spec(
    cluster: &Cluster,
    name: &str,
    how: Change,
    change: impl Fn(&SessionPool, &mut Map<String, Value>) -> Result<(), Failure>,
) -> Result<SessionPool, Failure> {
    let mut attempt = 1;
    loop {
        let pool = pools::get(cluster, name).await?;
        match apply(cluster, &pool, how, &change).await? {
            Ok(pool) => return Ok(pool),
            Err(_) if attempt < ATTEMPTS => attempt += 1,
            Err(conflict) => return Err(conflict),
        }
    }
}

/// The inner error is a conflict with another change.
async fn apply(
    cluster: &Cluster,
    pool: &SessionPool,
    how: Change,
    change: impl Fn(&SessionPool, &mut Map<String, Value>) -> Result<(), Failure>,
) -> Result<Result<SessionPool, Failure>, Failure> {
    let name = pool.name_any();
    let object = serde_json::to_value(pool).map_err(|error| Failure::Other(error.to_string()))?;
    let mut spec = applied::spec_of(&object, FIELD_MANAGER);
    change(pool, &mut spec)?;
    // With the version, so that of two changes at once none is lost; with the uid, so that no pool is made of it.
    let patch = json!({
        "apiVersion": names::API_VERSION, "kind": names::KIND,
        "metadata": {
            "name": name, "namespace": cluster.namespace,
            "uid": pool.metadata.uid, "resourceVersion": pool.metadata.resource_version
        },
        "spec": spec
    });
    let params = PatchParams {
        dry_run: how.dry_run == DryRun::Server,
        field_validation: Some(ValidationDirective::Strict),
        ..PatchParams::apply(FIELD_MANAGER).force()
    };
    let asked = Asked { verb: "patch", resource: pools::RESOURCE, namespace: Some(&cluster.namespace) };
    match cluster.api::<SessionPool>().patch(&name, &params, &Patch::Apply(&patch)).await {
        Ok(pool) => Ok(Ok(pool)),
        Err(error) if matches!(&error, kube::Error::Api(status) if status.code == 409) => {
            Ok(Err(Failure::of(&error, asked)))
        }
        Err(error) => Err(Failure::of(&error, asked)),
    }
}

/// What is said after a change that was not kept.
pub fn remark(how: Change) -> &'static str {
    match how.dry_run {
        DryRun::Server => " (server dry run)",
        DryRun::None => "",
    }
}
