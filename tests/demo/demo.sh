#!/bin/bash
# demo.sh up     a SessionPool on a cluster, with real MCP clients calling through it; the cluster stays
# demo.sh down   removes what `up` made
#
# CLUSTER names the cluster, which is made here (default: demo). CLUSTER=current is the one of your kubeconfig; there,
# OPERATOR_IMAGE, PROXY_IMAGE and SERVER_IMAGE, each NAME:TAG, say where its nodes pull the images from.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
. "$here/say.sh"
cluster=${CLUSTER:-demo}
if [ "$cluster" = default ]; then cluster=demo; fi
namespace=sessionpool-demo
release=sessionpool
pool=everything
operator_image=${OPERATOR_IMAGE:-docker.io/local/sessionpool-operator:dev}
proxy_image=${PROXY_IMAGE:-docker.io/local/sessionpool-proxy:dev}
server_image=${SERVER_IMAGE:-docker.io/local/server-everything:dev}

# kubectl and helm: those of the person whose cluster it is, else built here.
find_tools() {
  local path
  if [ "$cluster" != current ] || ! command -v kubectl >/dev/null || ! command -v helm >/dev/null; then
    path=$(tests/cluster/tools.sh kubectl helm)
    export PATH=$path:$PATH
  fi
  if [ "$cluster" != current ]; then
    KUBECONFIG=$(tests/cluster/up.sh --state "$cluster")/kubeconfig
    export KUBECONFIG
  fi
}

kube() { kubectl --namespace "$namespace" "$@"; }

install_and_build() {
  step "Installing what is missing"
  [ "$cluster" = current ] || tests/cluster/needs.sh node >/dev/null
  tests/cluster/packages.sh npm
  tests/upstreams/npm/install.sh >/dev/null
  python=$(tests/upstreams/pypi/install.sh)/bin/python
  find_tools
  if [ "$cluster" = current ] && [ -n "${OPERATOR_IMAGE:-}" ] && [ -n "${PROXY_IMAGE:-}" ] && [ -n "${SERVER_IMAGE:-}" ]; then
    return
  fi
  step "Building proxy, operator and their images"
  make images
}

start_cluster() {
  step "Cluster $cluster"
  if [ "$cluster" = current ]; then
    kubectl version >/dev/null || { echo "the cluster of your kubeconfig does not answer" >&2; exit 1; }
    kubectl get nodes
    return
  fi
  local was_up=0
  [ ! -e "$(dirname "$KUBECONFIG")/ready" ] || was_up=1
  tests/cluster/up.sh "$cluster" node
  # One that has been up for longer has the images of then.
  [ $was_up = 0 ] || tests/cluster/import.sh "$cluster" >/dev/null 2>&1
  kubectl get nodes
}

install_chart() {
  step "Installing the operator with Helm"
  helm upgrade --install "$release" charts/sessionpool --namespace "$namespace" --create-namespace \
    --set "image.repository=${operator_image%:*},image.tag=${operator_image##*:}" \
    --set "proxyImage.repository=${proxy_image%:*},proxyImage.tag=${proxy_image##*:}" \
    --set crds.keep=false --set-string "podAnnotations.demo=$(date +%s)" --wait --timeout 3m --hide-notes
  kube get deployments
}

apply_pool() {
  step "Applying examples/everything.yaml"
  sed "s#docker.io/local/server-everything:dev#$server_image#" examples/everything.yaml | kube apply -f -
  # On a cluster that was up, its proxies may run an older image of the same name.
  if kube get deployment "$pool-pool" >/dev/null 2>&1; then kube rollout restart "deployment/$pool-pool"; fi
  kubectl --namespace "$namespace" get sessionpool "$pool" --watch &
  watch=$!
  # shellcheck disable=SC2064 # the process of now
  trap "kill $watch 2>/dev/null || true" EXIT
  if ! kube wait --for=condition=Ready --timeout=120s "sessionpool/$pool" >/dev/null ||
    ! wait_for 60 "the Deployment" kube rollout status --timeout=60s "deployment/$pool-pool"; then
    kube describe sessionpool "$pool" >&2
    kube get pods >&2
    exit 1
  fi
  kill $watch
  wait $watch 2>/dev/null || true
}

run_clients() {
  step "20 MCP clients make 200 calls through the pool"
  local url
  url=$(kube get sessionpool "$pool" -o jsonpath='{.status.url}')
  if [ "$cluster" != current ]; then
    tests/cluster/shell.sh "$cluster" "$python" tests/demo/client.py "$url" --clients 20 --calls 200
    return
  fi
  local log port
  log=$(mktemp)
  # It complains of every connection that a client closes.
  kubectl --namespace "$namespace" port-forward "service/$pool-pool" :mcp >"$log" 2>&1 &
  forward=$!
  # shellcheck disable=SC2064 # the process of now
  trap "kill $forward 2>/dev/null || true; rm -f $log" EXIT
  wait_for 20 "kubectl port-forward" grep -q Forwarding "$log"
  port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log" | head -n 1)
  "$python" tests/demo/client.py "http://127.0.0.1:$port/mcp" --clients 20 --calls 200
  kill $forward
  wait $forward 2>/dev/null || true
}

has_counted() { [ "$(kube get sessionpool "$pool" -o jsonpath='{.status.stats.totalAcquisitions}')" -ge 200 ]; }

show() {
  local admin=/api/v1/namespaces/$namespace/services/$pool-pool-peers:admin/proxy proxy
  # After a restart, the Service leads to the proxy that is ending, too.
  proxy=$(kube get pods -l "app.kubernetes.io/instance=$pool" --sort-by=.metadata.creationTimestamp -o name | tail -n 1)
  proxy=/api/v1/namespaces/$namespace/pods/${proxy#pod/}:9090/proxy
  step "The pool (its numbers are brought up to date every 30 s)"
  wait_for 60 "the pool's status to show the calls" has_counted
  kube get sessionpools
  step "Its statistics, from the proxy"
  statistics "$(kubectl get --raw "$proxy/pool/stats")"
  step "Its metrics, for Prometheus"
  kubectl get --raw "$proxy/metrics" | demo_metrics
  cat <<TEXT
  ... all of them:  kubectl get --raw $admin/metrics
  A Prometheus Operator finds them with the chart's serviceMonitor.enabled=true.

What to try next
TEXT
  if [ "$cluster" != current ]; then
    cat <<TEXT
  export KUBECONFIG=$KUBECONFIG PATH=$(dirname "$(command -v kubectl)"):\$PATH
TEXT
  fi
  cat <<TEXT
  kubectl -n $namespace get sessionpools -o wide
  kubectl -n $namespace describe sessionpool $pool
  kubectl explain sessionpool.spec
  kubectl -n $namespace patch sessionpool $pool --type merge -p '{"spec":{"poolMaxSize":8}}'   # without a restart
  kubectl get --raw $admin/pool/sessions
TEXT
  if [ "$cluster" = current ]; then
    cat <<TEXT
  kubectl -n $namespace port-forward service/$pool-pool 8080:mcp   # then connect to http://127.0.0.1:8080/mcp
  CLUSTER=current make demo-down
TEXT
  else
    cat <<TEXT
  make cluster-shell CLUSTER=$cluster   # a shell in which $(kube get sessionpool "$pool" -o jsonpath='{.status.url}') answers
  make demo-down CLUSTER=$cluster
TEXT
  fi
}

up() {
  local start=$SECONDS
  install_and_build
  start_cluster
  install_chart
  apply_pool
  run_clients
  show
  echo
  echo "The demo took $((SECONDS - start)) s."
}

down() {
  if [ "$cluster" != current ]; then
    exec tests/cluster/down.sh "$cluster"
  fi
  find_tools
  # Pools go before their definition, so that nothing of them is left when the operator ends.
  kube delete sessionpool "$pool" --ignore-not-found
  helm uninstall "$release" --namespace "$namespace" --ignore-not-found --wait
  kubectl delete namespace "$namespace" --ignore-not-found
}

case ${1:-} in
  up) up ;;
  down) down ;;
  *) echo "demo.sh up|down" >&2; exit 2 ;;
esac
