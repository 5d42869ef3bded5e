//! The command line.

mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};

use self::values::{duration, interval, pool_name};
use crate::{complete, failure::EXIT_CODES};

/// Shows and steers SessionPools.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "kubectl-sessionpool",
    bin_name = "kubectl sessionpool",
    version,
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub struct Args {
    /// Which cluster, and where in it.
    #[command(flatten)]
    pub target: Target,
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// Which cluster, and where in it: kubectl's own flags.
#[derive(Debug, Clone, Default, Group)]
#[command(next_help_heading = "Cluster")]
pub struct Target {
    /// Namespace; without it that of the context
    #[arg(short, long, global = true, add = ArgValueCandidates::new(complete::namespaces))]
    pub namespace: Option<String>,
    /// Context of the kubeconfig file
    #[arg(long, global = true, add = ArgValueCandidates::new(complete::contexts))]
    pub context: Option<String>,
    /// Kubeconfig file; without it those of KUBECONFIG, or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig file
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig file
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// User to act as
    #[arg(long = "as", global = true, value_name = "USER")]
    pub as_user: Option<String>,
    /// Group to act as; repeat it for several
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub as_groups: Vec<String>,
    /// Longest time for one request, such as 10s; 0 means no limit
    #[arg(long, global = true, value_name = "TIME", value_parser = duration, default_value = "0")]
    pub request_timeout: Duration,
}

/// A pool.
#[derive(Debug, Clone, Group)]
pub struct Pool {
    /// Name of the pool
    #[arg(value_name = "NAME", value_parser = pool_name, add = ArgValueCompleter::new(complete::pools))]
    pub name: String,
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// How something is printed.
#[derive(Debug, Clone, Copy, Group)]
pub struct Printed {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// Whether a change is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is
    None,
    /// The API server checks it and keeps nothing
    Server,
}

/// A change of a pool.
#[derive(Debug, Clone, Copy, Group)]
pub struct Change {
    /// Have the API server check the change, and keep nothing
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_value_t = DryRun::None, default_missing_value = "server")]
    pub dry_run: DryRun,
}

/// Whether and how long something is waited for.
#[derive(Debug, Clone, Copy, Group)]
pub struct Waiting {
    /// Wait until it is done
    #[arg(short, long)]
    pub wait: bool,
    /// Longest time to wait, such as 5m; without it as long as it should take
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "wait")]
    pub wait_timeout: Option<Duration>,
}

/// What is to be done.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Everything about a pool, or a table of all
    Status {
        /// Name of the pool; without it a table of all
        #[arg(value_parser = pool_name, add = ArgValueCompleter::new(complete::pools))]
        name: Option<String>,
        /// Pools of all namespaces
        #[arg(short = 'A', long, conflicts_with = "name")]
        all_namespaces: bool,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// What a pool counts, now
    Stats {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// Go on, with rates per second: one line for each interval
        #[arg(short, long)]
        watch: bool,
        /// Time between two lines
        #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s", requires = "watch")]
        interval: Duration,
        /// Lines after which --watch ends; without it Ctrl-C ends it
        #[arg(long, requires = "watch")]
        count: Option<u64>,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// Every session of a pool
    Sessions {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// Let running calls finish, and take no new ones until resume
    Drain {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// Time that running calls get (spec.drain.timeoutSeconds); without it what the pool says
        #[arg(long, value_name = "TIME", value_parser = duration)]
        timeout: Option<Duration>,
        /// Whether it is waited for
        #[command(flatten)]
        waiting: Waiting,
        /// Whether it is kept
        #[command(flatten)]
        change: Change,
    },
    /// Take calls again after a drain
    Resume {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// Whether it is waited for
        #[command(flatten)]
        waiting: Waiting,
        /// Whether it is kept
        #[command(flatten)]
        change: Change,
    },
    /// Replace every session once: idle ones at once, busy ones after their call
    Reset {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// Whether it is waited for
        #[command(flatten)]
        waiting: Waiting,
        /// Whether it is kept
        #[command(flatten)]
        change: Change,
    },
    /// What should be changed, from what was measured, and why
    Optimize {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// Write it into the specification
        #[arg(long)]
        apply: bool,
        /// Whether it is kept
        #[command(flatten)]
        change: Change,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// The parameters in force, and where each comes from
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Config {
        /// The change; none shows them
        #[command(subcommand)]
        set: Option<Config>,
        /// Name of the pool
        #[arg(required = true, value_parser = pool_name, add = ArgValueCompleter::new(complete::pools))]
        name: Option<String>,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// Is the installation healthy? What is wrong, and how to mend it
    Check {
        /// Look at the pools of all namespaces; this is so without --namespace, too, if you may
        #[arg(short = 'A', long, conflicts_with = "namespace")]
        all_namespaces: bool,
        /// Namespace of the operator; without it all are looked through
        #[arg(long, value_name = "NAMESPACE")]
        operator_namespace: Option<String>,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// The log of a pool's proxies, with the pod's name before each line
    Logs(Logs),
    /// The script that completes commands and names in a shell
    Completion {
        /// For which; `kubectl` is the program kubectl_complete-sessionpool, by which kubectl completes the plugin itself
        #[arg(value_enum)]
        shell: Shell,
    },
    /// The version of the plugin and of what is in the cluster
    Version {
        /// Only the plugin's; asks no cluster
        #[arg(long)]
        client: bool,
        /// How it is printed
        #[command(flatten)]
        printed: Printed,
    },
    /// What kubectl asks for completions
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words so far; the last is the one to complete
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
}

/// A change of the parameters.
#[derive(Debug, Clone, Subcommand)]
pub enum Config {
    /// Change fields of the specification: poolMaxSize=20, drain.timeoutSeconds=30; poolMaxSize- takes it back
    Set {
        /// Which pool
        #[command(flatten)]
        pool: Pool,
        /// FIELD=VALUE, or FIELD- to leave it to the default
        #[arg(required = true, value_name = "FIELD=VALUE", add = ArgValueCompleter::new(complete::fields))]
        changes: Vec<String>,
        /// Whether it is kept
        #[command(flatten)]
        change: Change,
    },
}

/// Which log lines are shown.
#[derive(Debug, Clone, Group)]
#[expect(clippy::struct_excessive_bools, reason = "flags are in any combination")]
pub struct Logs {
    /// Which pool
    #[command(flatten)]
    pub pool: Pool,
    /// Go on as lines come, also of pods that are made later
    #[arg(short, long)]
    pub follow: bool,
    /// Show the MCP server's log, where it runs beside the proxy
    #[arg(long)]
    pub server: bool,
    /// The log of the container that ran before the last restart
    #[arg(short, long, conflicts_with = "follow")]
    pub previous: bool,
    /// Lines from the end of each log; -1 shows all
    #[arg(long, default_value_t = 100, allow_negative_numbers = true)]
    pub tail: i64,
    /// Only lines that are no older, such as 10m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
    /// Put the time before each line
    #[arg(long)]
    pub timestamps: bool,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
    Kubectl,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["kubectl-sessionpool"], words].concat())
    }

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_may_come_before_and_after_the_command() {
        let before = parse(&["-n", "team", "status", "web"]).unwrap();
        let after = parse(&["status", "sessionpool/web", "-n", "team"]).unwrap();
        for args in [before, after] {
            assert_eq!(args.target.namespace.as_deref(), Some("team"));
            assert!(matches!(args.command, Command::Status { name: Some(name), .. } if name == "web"));
        }
        assert!(parse(&["status", "pod/web"]).is_err());
    }

    #[test]
    fn config_shows_or_sets() {
        let shown = parse(&["config", "web", "-o", "json"]).unwrap();
        assert!(matches!(shown.command, Command::Config { set: None, name: Some(_), .. }));
        let set = parse(&["config", "set", "web", "poolMaxSize=20", "--dry-run"]).unwrap();
        let Command::Config { set: Some(Config::Set { changes, change, .. }), .. } = set.command else {
            panic!("not set");
        };
        assert_eq!((changes.len(), change.dry_run), (1, DryRun::Server));
        assert!(parse(&["config"]).is_err());
    }
}
