//! Values that don't exist or contradict each other are refused, with what to do.

use anyhow::{Context, Result, ensure};
use tests::helm::{MONITORING, rendered};

/// Values, and what is said of them.
const CONTRADICTIONS: [(&str, &str); 19] = [
    ("leaderElection=null,tests=null,dashboard=null", "upgrade with --reset-then-reuse-values"),
    ("replicas=2,leaderElection.enabled=false", "they would all act at once; set replicas to 1"),
    ("podDisruptionBudget.enabled=true", "its node could never be drained; set replicas to 2"),
    (
        "replicas=2,podDisruptionBudget.enabled=true,podDisruptionBudget.minAvailable=1,podDisruptionBudget.maxUnavailable=1",
        "leave the other empty",
    ),
    (
        "replicas=2,podDisruptionBudget.enabled=true,podDisruptionBudget.minAvailable=2",
        "lets none of the 2 replicas go",
    ),
    (
        "replicas=2,podDisruptionBudget.enabled=true,podDisruptionBudget.maxUnavailable=0",
        "lower minAvailable or raise maxUnavailable",
    ),
    (
        "poolDefaults.minSize=11",
        "poolDefaults.minSize is 11 and poolDefaults.maxSize is 10: no pool could have both; raise maxSize",
    ),
    ("serviceMonitor.enabled=true", "monitoring.coreos.com/v1): install those first"),
    (
        "prometheusRule.enabled=true",
        "prometheusRule.enabled needs the definitions of the Prometheus Operator",
    ),
    ("injection=Enabled", "set it to Auto or Disabled"),
    ("serviceAccount.create=false", "name the account that the operator is to run as"),
    ("ingress.enabled=true,ingress.hosts={a},api.enabled=false", "set both or neither"),
    ("ingress.enabled=true", "it would answer for every name; say for which"),
    ("service.type=NodePort,api.enabled=false", "set api.enabled to true or service.type to ClusterIP"),
    ("extraArgs={--lease-name=other}", "it follows from leaderElection.leaseName"),
    ("extraArgs={--tracing-endpoint=http://other}", "it follows from tracing.endpoint"),
    ("extraEnv[0].name=POOL_MAX_SIZE,extraEnv[0].value=few", "it follows from poolDefaults.maxSize"),
    ("commonLabels.app\\.kubernetes\\.io/name=x", "commonLabels holds app.kubernetes.io/name"),
    ("podLabels.app\\.kubernetes\\.io/instance=x", "take another label"),
];

#[tokio::test]
async fn values_that_contradict_each_other_are_refused() -> Result<()> {
    for (values, wanted) in CONTRADICTIONS {
        let refusal = rendered(&["--set", values]).await.err().with_context(|| format!("took {values}"))?;
        ensure!(format!("{refusal:#}").contains(wanted), "{values}: {refusal:#}");
    }
    Ok(())
}

/// Each is not of the schema.
const UNKNOWN: [&str; 14] = [
    "poolDefault.minSize=1",
    "poolDefaults.minsize=1",
    "poolDefaults.timeout=0",
    "logFormat=xml",
    "image.tag=a:b",
    "image.digest=sha256:12",
    "watchNamespaces={A}",
    "resources.limit.memory=1Gi",
    "serviceMonitor.interval=soon",
    "prometheusRule.rules.SessionPoolTimeout.enabled=false",
    "prometheusRule.rules.SessionPoolTimeouts.enable=false",
    "topologySpreadConstraints[0].maxSkew=1",
    "replicas=-1",
    "service.port=0",
];

#[tokio::test]
async fn a_value_that_does_not_exist_is_refused() -> Result<()> {
    for value in UNKNOWN {
        let arguments = [&MONITORING[..], &["--set", value]].concat();
        let refusal = rendered(&arguments).await.err().with_context(|| format!("took {value}"))?;
        ensure!(format!("{refusal:#}").contains("schema"), "{value}: {refusal:#}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chart_that_this_one_is_part_of_may_have_its_own_values() -> Result<()> {
    rendered(&["--set", "global.registry=x,enabled=true"]).await?;
    Ok(())
}
