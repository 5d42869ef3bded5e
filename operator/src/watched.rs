//! What the watches of one namespace, or of all, show: reconciles look here before they ask.

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::reflector::{self, Store, store::Writer};

use crate::seen::Seen;

/// What is known without asking the API server. It may be behind by as long as a watch takes.
#[derive(Clone)]
pub struct Watched {
    /// The children, by their fingerprints.
    pub children: Seen,
    /// The proxies' pods.
    pub pods: Store<Pod>,
}

impl Watched {
    /// Knows nothing yet; pods come by the writer.
    pub fn new() -> (Self, Writer<Pod>) {
        let (pods, writer) = reflector::store();
        (Self { children: Seen::default(), pods }, writer)
    }
}

impl Default for Watched {
    fn default() -> Self {
        Self::new().0
    }
}
