//! What the watches of one namespace, or of all, show: reconciles look here before they ask.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::runtime::reflector::{self, Store, store::Writer};

use crate::seen::Seen;

/// What is known without asking the API server. It may be behind by as long as a watch takes.
#[derive(Clone)]
pub struct Watched {
    /// The children, by their fingerprints.
    pub children: Seen,
    /// The Deployments among them, as far as their status goes.
    pub deployments: Store<Deployment>,
    /// The proxies' pods.
    pub pods: Store<Pod>,
}

/// Where the watches put what they show.
pub struct Writers {
    /// For [`Watched::deployments`].
    pub deployments: Writer<Deployment>,
    /// For [`Watched::pods`].
    pub pods: Writer<Pod>,
}

impl Watched {
    /// Knows nothing yet.
    pub fn new() -> (Self, Writers) {
        let (deployments, deployments_writer) = reflector::store();
        let (pods, pods_writer) = reflector::store();
        let writers = Writers { deployments: deployments_writer, pods: pods_writer };
        (Self { children: Seen::default(), deployments, pods }, writers)
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self::new().0
    }
}
