//! The client's half of the first step: reads what a pool refers to.

use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};

use crate::children::Owner;

/// Label of an `EndpointSlice` that names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// What a pool refers to, as it was found.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// The Service of `upstream.serviceRef`, if it is there.
    pub service: Option<Service>,
    /// Its `EndpointSlice`s.
    pub slices: Vec<EndpointSlice>,
}

/// Reads the Service that a pool names and its `EndpointSlice`s; nothing when it names none.
pub async fn look_up(client: &Client, owner: &Owner, service: Option<&str>) -> kube::Result<References> {
    let Some(name) = service else { return Ok(References::default()) };
    let services: Api<Service> = Api::namespaced(client.clone(), &owner.namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), &owner.namespace);
    let params = ListParams::default().labels(&format!("{SERVICE_NAME_LABEL}={name}"));
    let (service, slices) = futures::try_join!(services.get_opt(name), slices.list(&params))?;
    Ok(References { service, slices: slices.items })
}
