//! What each command does.

mod config;
mod config_set;
mod logs;
mod operate;
mod optimize;
mod sessions;
mod stats;
mod status;
mod version;

pub use self::{
    config_set::{fields, values},
    version::OWN as OWN_VERSION,
};

use crate::{
    args::{Args, Command, Target},
    check, complete,
    connect::Cluster,
    failure::Failure,
};

/// Carries a command out.
pub fn run(args: Args) -> Result<(), Failure> {
    let Args { target, command } = args;
    match command {
        // These need no cluster, or ask it by themselves.
        Command::Completion { shell } => complete::script(shell),
        Command::Complete { words } => complete::answer_kubectl(words),
        Command::Version { client: true, printed } => version::own(printed),
        command => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(2).enable_all().build()?;
            let ended = runtime.block_on(ask(&target, command));
            // A stream that is still followed must not hold the process.
            runtime.shutdown_background();
            ended
        }
    }
}

async fn ask(target: &Target, command: Command) -> Result<(), Failure> {
    let cluster = Cluster::find(target).await?;
    match command {
        Command::Status { name: Some(name), printed, .. } => status::one(&cluster, &name, printed).await,
        Command::Status { name: None, all_namespaces, printed } => {
            status::all(&cluster, all_namespaces, printed).await
        }
        Command::Stats { pool, watch: false, printed, .. } => {
            stats::once(&cluster, &pool.name, printed).await
        }
        Command::Stats { pool, interval, count, printed, .. } => {
            stats::watch(&cluster, &pool.name, interval, count, printed).await
        }
        Command::Sessions { pool, printed } => sessions::run(&cluster, &pool.name, printed).await,
        Command::Drain { pool, timeout, waiting, change } => {
            operate::drain(&cluster, &pool.name, timeout, waiting, change).await
        }
        Command::Resume { pool, waiting, change } => {
            operate::resume(&cluster, &pool.name, waiting, change).await
        }
        Command::Reset { pool, waiting, change } => {
            operate::reset(&cluster, &pool.name, waiting, change).await
        }
        Command::Optimize { pool, apply: false, printed, .. } => {
            optimize::show(&cluster, &pool.name, printed).await
        }
        Command::Optimize { pool, change, printed, .. } => {
            optimize::apply(&cluster, &pool.name, change, printed).await
        }
        Command::Config { set: Some(set), .. } => config_set::run(&cluster, set).await,
        Command::Config { name, printed, .. } => {
            config::run(&cluster, &name.unwrap_or_default(), printed).await
        }
        Command::Check { all_namespaces, operator_namespace, printed } => {
            let scope = check::Scope::of(target, all_namespaces, operator_namespace);
            check::run(&cluster, &scope, printed).await
        }
        Command::Logs(logs) => logs::run(&cluster, &logs).await,
        Command::Version { printed, .. } => version::all(&cluster, printed).await,
        Command::Completion { .. } | Command::Complete { .. } => Ok(()),
    }
}
