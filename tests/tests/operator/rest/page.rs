//! The documented commands as they stand there, and the OpenAPI document tried by a machine.

use anyhow::{Result, ensure};
use tests::{
    rest::{DOCUMENTED, documented},
    schemathesis,
};

use super::Stage;

#[tokio::test]
async fn the_documented_commands_work() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    for (command, wanted) in DOCUMENTED {
        let (status, body) = documented(command, stage.address, &stage.id, &admin.token).await?;
        ensure!(status == wanted, "{status} {body:#}\n{command}");
    }
    let spec = admin.pools.get("web").await?.spec;
    ensure!(!spec.pool_enabled && spec.pool_min_size == Some(3) && spec.reset_token.is_some());
    ensure!(spec.desired_state == crds::DesiredState::Drained && spec.drain.timeout_seconds == 60);
    Ok(())
}

#[tokio::test]
async fn answers_are_what_the_document_says() -> Result<()> {
    let stage = Stage::start().await?;
    let admin = stage.person("admin").await?;
    schemathesis::try_document(stage.address, &stage.id, &admin.token).await
}
