//! Command line and environment.

use std::{
    net::{AddrParseError, SocketAddr},
    str::FromStr,
};

use clap::{Parser, ValueEnum};

use crate::lease::Claim;

/// Turns `SessionPool` objects into proxies and reports their state.
///
/// The pool settings that a `SessionPool` leaves unset come from `POOL_MIN_SIZE`, `POOL_MAX_SIZE`,
/// `POOL_TIMEOUT`, `POOL_RECYCLE_SECONDS` and `POOL_PRE_PING`. `RUST_LOG` filters the log (default: info).
#[derive(Debug, Clone, Parser)]
#[command(name = "sessionpool-operator", version)]
pub struct Args {
    /// Image of the proxies; `spec.proxy.image` of a pool wins over it.
    #[arg(long, env = "PROXY_IMAGE", value_name = "IMAGE", required_unless_present = "check")]
    pub proxy_image: Option<String>,

    /// Only checks an installation: whether this address of an operator answers with success, and whether SessionPools
    /// can be listed. Repeat it for several addresses.
    #[arg(long, value_name = "URL")]
    pub check: Vec<hyper::Uri>,

    /// Namespace to watch; repeat it for several. Without it every namespace is watched.
    #[arg(
        long = "watch-namespace",
        env = "WATCH_NAMESPACES",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub watch_namespaces: Vec<String>,

    /// Namespace that the operator runs in.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Name of the Lease, in the operator's namespace, by which one of several operators is chosen. Without it there must
    /// be one operator only.
    #[arg(long, env = "LEASE_NAME", value_name = "NAME", requires = "namespace")]
    pub lease_name: Option<String>,

    /// Name of the pod, by which the holder of the Lease is known; random without it.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub pod_name: Option<String>,

    /// Address of /livez, /readyz, /metrics and, for callers on loopback, /log-filter.
    #[arg(long, default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,

    /// Address of REST and of the page, or off.
    #[arg(long, default_value = "0.0.0.0:8000", value_name = "ADDRESS|off")]
    pub api_listen: Listen,

    /// Form of the log lines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where something is served, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// At an address.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Args {
    /// What this process has to hold before it acts; nothing if it is alone.
    pub fn claim(&self) -> Option<Claim> {
        let random = || format!("operator-{:016x}", fastrand::u64(..));
        Some(Claim {
            namespace: self.namespace.clone()?,
            name: self.lease_name.clone()?,
            identity: self.pod_name.clone().unwrap_or_else(random),
        })
    }

    /// The namespaces to watch: one `None` stands for all of them.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let mut named: Vec<_> =
            self.watch_namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        named.sort();
        named.dedup();
        if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_means_all() {
        let args = Args::try_parse_from(["sessionpool-operator", "--proxy-image=proxy:1"]).unwrap();
        assert_eq!(args.scopes(), [None]);
        assert_eq!(args.admin_listen.port(), 8081);
    }

    #[test]
    fn rest_can_be_switched_off() {
        let listen = |arguments: &[&str]| {
            let all = ["sessionpool-operator", "--proxy-image=proxy:1"].iter().chain(arguments);
            Args::try_parse_from(all).map(|args| args.api_listen)
        };
        assert_eq!(listen(&[]).unwrap(), Listen::At(([0, 0, 0, 0], 8000).into()));
        assert_eq!(listen(&["--api-listen=off"]).unwrap(), Listen::Off);
        assert!(listen(&["--api-listen=on"]).is_err());
    }

    #[test]
    fn namespaces_are_taken_once_each() {
        let args = Args::try_parse_from([
            "sessionpool-operator",
            "--proxy-image=proxy:1",
            "--watch-namespace=b,a",
            "--watch-namespace=b",
        ])
        .unwrap();
        assert_eq!(args.scopes(), [Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn the_image_is_required() {
        assert!(Args::try_parse_from(["sessionpool-operator"]).is_err());
        let check = ["sessionpool-operator", "--check=http://operator:8081/readyz"];
        assert_eq!(Args::try_parse_from(check).unwrap().check.len(), 1);
    }
}
