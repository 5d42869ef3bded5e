//! What the API server's audit log says of the operator.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::bench::{Bench, shared};

impl Bench {
    /// The writes that operators sent for objects of this namespace, as verb, resource and status code. One that was
    /// refused counts too.
    pub async fn writes(&self) -> Result<Vec<String>> {
        let path = shared().await?.state().join("log/audit.log");
        let log = tokio::fs::read_to_string(&path).await.with_context(|| path.display().to_string())?;
        // The last line may be half written.
        let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut writes = Vec::new();
        for line in whole.lines() {
            let entry: Value = serde_json::from_str(line)?;
            let user = entry["user"]["username"].as_str().unwrap_or_default();
            let object = &entry["objectRef"];
            let ours = user.starts_with("system:serviceaccount:operator-home");
            if ours && object["namespace"] == self.namespace.as_str() {
                let code = &entry["responseStatus"]["code"];
                let part = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
                let resource = object["resource"].as_str().unwrap_or_default();
                writes
                    .push(format!("{} {resource}{part} {code}", entry["verb"].as_str().unwrap_or_default()));
            }
        }
        Ok(writes)
    }
}
