// What to do about a condition, by its reason.

const REMEDIES = {
  ProxiesNotReady: "See why the proxies' pods are not ready: kubectl describe pods -l mcpgateway.io/pool=NAME -n NAMESPACE",
  ScaledToZero: "Raise spec.replicas to serve clients again: kubectl scale sessionpool NAME --replicas=1 -n NAMESPACE",
  NoInjectedPods: "Put the label mcpgateway.io/inject: NAME into the pod template of the MCP server's Deployment.",
  NameConflict: "An object of that name belongs to somebody else: rename or delete it, or name the pool differently.",
  InvalidSpec: "Correct the field that the message names: kubectl edit sessionpool NAME -n NAMESPACE",
  NotSupported: "Remove the field that the message names: this version refuses what it does not do.",
  ServiceNotFound: "Make the Service, or correct spec.upstream.serviceRef.",
  PortNotFound: "Correct the port in spec.upstream.serviceRef, or add it to the Service.",
  ApplyFailed: "Mend what the message names. The operator tries again by itself.",
  RolloutStalled: "See why new pods do not start: kubectl describe pods -l mcpgateway.io/pool=NAME -n NAMESPACE",
  Blocked: "Mend the condition Resolved. What ran before goes on.",
  UpstreamUnreachable: "See that the MCP server runs, and that the proxies reach it: its address, its NetworkPolicies. Sessions are opened again by themselves.",
  ConfigurationRejected: "A proxy keeps the configuration before. Does its image fit the operator's version?",
  ProxiesUnreachable: "See that a NetworkPolicy lets the operator reach the proxies' port 9090.",
  PodsFailing: "See the failing pod's log: kubectl logs -l mcpgateway.io/pool=NAME -n NAMESPACE --all-containers --prefix",
  PoolExhausted: "Raise pool_max_size, lower pool_timeout to fail faster, or add proxies or servers. The recommendation says which.",
  UnhealthySessions: "See the MCP server's log: sessions failed their checks and are being replaced.",
  DeadlineExceeded: "Requests were cut off at the deadline. Give the next drain more seconds.",
  Unconfirmed: "Some proxies did not answer. See that they run: kubectl get pods -l mcpgateway.io/pool=NAME -n NAMESPACE",
};

/** What to do, or null where there is nothing to do. */
export function remedy(condition, namespace, name) {
  const text = REMEDIES[condition.reason];
  return text === undefined ? null : text.replaceAll("NAMESPACE", namespace).replaceAll("NAME", name);
}

/** Conditions that are good news when they hold. */
const WANTED = { Ready: true, Resolved: true, Degraded: false };

/** Whether a condition tells of trouble. */
export function troubling({ type, status, reason }) {
  if (reason === "RolloutStalled" || reason === "DeadlineExceeded" || reason === "Unconfirmed") return true;
  return Object.hasOwn(WANTED, type) && status !== (WANTED[type] ? "True" : "False");
}
