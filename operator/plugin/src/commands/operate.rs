//! `drain`, `resume` and `reset`.

use std::time::Duration;

use crds::{DesiredState, SessionPool, applied};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    args::{Change, DryRun, Waiting},
    connect::Cluster,
    failure::Failure,
    output::put,
    wait,
    wait::Goal,
    write,
};

/// Drains a pool.
pub async fn drain(
    cluster: &Cluster,
    name: &str,
    timeout: Option<Duration>,
    waiting: Waiting,
    how: Change,
) -> Result<(), Failure> {
    let change = |_: &SessionPool, spec: &mut Map<String, Value>| {
        applied::merge(spec, applied::field(&["desiredState"], json!(DesiredState::Drained)));
        if let Some(timeout) = timeout {
            // A part of a second is a second more.
            let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
            applied::merge(spec, applied::field(&["drain", "timeoutSeconds"], json!(seconds)));
        }
        Ok(())
    };
    let pool = write::spec(cluster, name, how, change).await?;
    let seconds = pool.spec.drain.timeout_seconds;
    let begun = format!("sessionpool/{name} draining: running calls get {seconds} s");
    finish(cluster, &pool, &begun, Goal::Drained, waiting, how).await
}

/// Has a pool serve again.
pub async fn resume(cluster: &Cluster, name: &str, waiting: Waiting, how: Change) -> Result<(), Failure> {
    let change = |_: &SessionPool, spec: &mut Map<String, Value>| {
        applied::merge(spec, applied::field(&["desiredState"], json!(DesiredState::Active)));
        Ok(())
    };
    let pool = write::spec(cluster, name, how, change).await?;
    finish(cluster, &pool, &format!("sessionpool/{name} resuming"), Goal::Resumed, waiting, how).await
}

/// Replaces every session.
pub async fn reset(cluster: &Cluster, name: &str, waiting: Waiting, how: Change) -> Result<(), Failure> {
    // No two are equal, and people see from when it is.
    let token = format!("{:.6}", Timestamp::now());
    let change = |_: &SessionPool, spec: &mut Map<String, Value>| {
        applied::merge(spec, applied::field(&["resetToken"], json!(token)));
        Ok(())
    };
    let pool = write::spec(cluster, name, how, change).await?;
    let drained = pool.spec.desired_state == DesiredState::Drained;
    let remark = if drained { ": it is drained, so there is no session to replace" } else { "" };
    let begun = format!("sessionpool/{name} resetting, token {token}{remark}");
    finish(cluster, &pool, &begun, Goal::Reset(token.clone()), waiting, how).await
}

async fn finish(
    cluster: &Cluster,
    pool: &SessionPool,
    begun: &str,
    goal: Goal,
    waiting: Waiting,
    how: Change,
) -> Result<(), Failure> {
    put(&format!("{begun}{}\n", write::remark(how)))?;
    if !waiting.wait || how.dry_run == DryRun::Server {
        return Ok(());
    }
    let done = wait::until(cluster, pool, &goal, waiting.wait_timeout).await?;
    put(&format!("{done}\n"))
}
