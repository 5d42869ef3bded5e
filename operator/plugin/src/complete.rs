//! What a shell may complete: commands and flags, and the names that are in the cluster.

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    time::Duration,
};

use clap::{CommandFactory, FromArgMatches};
use clap_complete::{
    CompleteEnv,
    engine::{self, CompletionCandidate},
    env::{EnvCompleter, Shells},
};
use kube::ResourceExt;

use crate::{
    args::{Args, Shell, Target},
    commands,
    connect::{self, Cluster},
    failure::Failure,
    output::put,
    pools,
};

/// By which the scripts ask.
const VARIABLE: &str = "SESSIONPOOL_COMPLETE";
/// The program, as it is in PATH.
const PROGRAM: &str = "kubectl-sessionpool";
/// Nobody waits longer for a name after pressing Tab.
const PATIENCE: Duration = Duration::from_secs(3);

/// The program by which kubectl completes the plugin; it has to be in PATH under this name.
const KUBECTL: &str = include_str!("../completion/kubectl_complete-sessionpool");

/// Answers a shell that one of the scripts has registered, and ends; does nothing otherwise.
pub fn answer_shell() {
    CompleteEnv::with_factory(Args::command).var(VARIABLE).bin(PROGRAM).complete();
}

/// Prints a script.
pub fn script(shell: Shell) -> Result<(), Failure> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
        Shell::Powershell => "powershell",
        Shell::Elvish => "elvish",
        Shell::Kubectl => return put(KUBECTL),
    };
    let shells = Shells::builtins();
    let completer: &dyn EnvCompleter =
        shells.completer(name).ok_or_else(|| Failure::Usage(format!("there is no script for {name}")))?;
    let mut text = Vec::new();
    completer.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut text)?;
    put(&String::from_utf8_lossy(&text))
}

/// What kubectl wants to know: a candidate a line with its text after a tab, then what the shell may do by itself.
pub fn answer_kubectl(words: Vec<OsString>) -> Result<(), Failure> {
    let mut line = vec![OsString::from(PROGRAM)];
    line.extend(words);
    if line.len() == 1 {
        line.push(OsString::new());
    }
    let last = line.len() - 1;
    let current = line[last].to_string_lossy().into_owned();
    let mut command = Args::command();
    let candidates = engine::complete(&mut command, line, last, None).unwrap_or_default();
    let mut out = Vec::new();
    let mut glued = false;
    for candidate in candidates.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        // Flags only when they are asked for, as kubectl does it.
        if value.starts_with('-') && !current.starts_with('-') {
            continue;
        }
        glued |= value.ends_with('=');
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        writeln!(out, "{value}{}{help}", if help.is_empty() { "" } else { "\t" })?;
    }
    // 4: no file names; 2: no blank after it.
    writeln!(out, ":{}", if glued { 6 } else { 4 })?;
    put(&String::from_utf8_lossy(&out))
}

/// Contexts of the kubeconfig.
pub fn contexts() -> Vec<CompletionCandidate> {
    let file = connect::kubeconfig(&target()).ok().flatten();
    let names = file.map(|file| connect::contexts(&file)).unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// Namespaces of the cluster.
pub fn namespaces() -> Vec<CompletionCandidate> {
    let names = ask(async |cluster| {
        let api: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(cluster.client);
        let list = api.list_metadata(&kube::api::ListParams::default()).await.ok()?;
        Some(list.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>())
    });
    names.unwrap_or_default().into_iter().map(CompletionCandidate::new).collect()
}

/// Pools of the namespace that the command line names.
pub fn pools(current: &OsStr) -> Vec<CompletionCandidate> {
    if current.as_encoded_bytes().starts_with(b"-") {
        return Vec::new();
    }
    let found = ask(async |cluster| pools::list(&cluster, false).await.ok()).unwrap_or_default();
    let begins = |name: &str| current.to_str().is_some_and(|current| name.starts_with(current));
    found
        .iter()
        .filter(|pool| begins(&pool.name_any()))
        .map(|pool| {
            let phase = pool.status.as_ref().and_then(|status| status.phase);
            let help = phase.map(|phase| format!("{phase:?}").into());
            CompletionCandidate::new(pool.name_any()).help(help)
        })
        .collect()
}

/// Fields of a specification, and the values of those that have few.
pub fn fields(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let candidates: Vec<String> = match current.split_once('=') {
        Some((field, _)) => {
            commands::values(field).into_iter().map(|value| format!("{field}={value}")).collect()
        }
        None => commands::fields().into_iter().map(|field| format!("{field}=")).collect(),
    };
    let fits = candidates.into_iter().filter(|candidate| candidate.starts_with(current.as_ref()));
    fits.map(CompletionCandidate::new).collect()
}

/// The cluster and the namespace that the words so far name. This program was started with them as arguments.
fn target() -> Target {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        // A shell's script names the program, too; kubectl does not.
        Some("--") => drop(words.remove(0)),
        Some(_) => PROGRAM.clone_into(&mut words[0]),
        None => return Target::default(),
    }
    let matches = Args::command().ignore_errors(true).try_get_matches_from(words);
    matches.ok().and_then(|matches| Target::from_arg_matches(&matches).ok()).unwrap_or_default()
}

/// Asks the cluster; nothing comes back when it does not answer soon.
fn ask<T>(question: impl AsyncFnOnce(Cluster) -> Option<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let answer = async { question(Cluster::find(&target()).await.ok()?).await };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
    })
}
