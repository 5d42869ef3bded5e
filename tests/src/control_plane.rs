//! Kubernetes without a node: etcd, API server, controller manager and scheduler. Needs no root.

use std::ops::Deref;
use std::path::Path;

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::kubernetes::Kubernetes;
use crate::supervisor::Supervisor;

/// A control plane of its own on free loopback ports. Objects are stored and the built-in controllers act on them
/// (a Deployment gets its pods), but no pod ever runs.
///
/// It ends when this value is dropped, and also when the test's process ends in any other way.
#[derive(Debug)]
pub struct ControlPlane {
    kubernetes: Kubernetes,
    supervisor: Supervisor,
}

impl ControlPlane {
    /// Starts one, which takes about 5 s.
    ///
    /// # Errors
    /// When a tool is missing (the message says which, and how to get it) or a part does not start.
    pub async fn start() -> Result<Self> {
        let supervisor = Supervisor::start("control-plane").await?;
        let kubernetes = Kubernetes::from_kubeconfig(&supervisor.state().join("kubeconfig")).await?;
        Ok(Self { kubernetes, supervisor })
    }

    /// The control plane that all tests of this test binary share; give each test a namespace of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Folder with the cluster's `log/`, and the process id and start time of each part in `pid/`.
    pub fn state(&self) -> &Path {
        self.supervisor.state()
    }

    /// Process id of the script that started the parts.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.pid()
    }
}

impl Deref for ControlPlane {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.kubernetes
    }
}
