#!/bin/bash
# demo.sh up     a SessionPool on a real cluster, from nothing
# demo.sh down   removes what `up` made
# CLUSTER=current uses the cluster of the current kubeconfig, whose nodes must be able to get the images:
#   OPERATOR_IMAGE, PROXY_IMAGE and SERVER_IMAGE name them (default: docker.io/local/...:dev, built here).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
cd "$repository"
. "$here/say.sh"

cluster=${CLUSTER:-default}
if [ "$cluster" = default ]; then cluster=demo; fi
namespace=sessionpool-system
example=examples/everything.yaml
operator=${OPERATOR_IMAGE:-docker.io/local/sessionpool-operator:dev}
proxy=${PROXY_IMAGE:-docker.io/local/sessionpool-proxy:dev}
server=${SERVER_IMAGE:-docker.io/local/server-everything:dev}

kubeconfig() {
  if [ "$cluster" != current ]; then
    KUBECONFIG=$(tests/cluster/up.sh --state "$cluster")/kubeconfig
    export KUBECONFIG
  fi
}

tools() {
  local folder
  folder=$(tests/cluster/tools.sh helm kubectl)
  export PATH=$folder:$PATH
}

install() {
  helm upgrade --install sessionpool charts/sessionpool --namespace "$namespace" --create-namespace --wait --timeout 120s \
    --set "image.repository=${operator%:*},image.tag=${operator##*:}" \
    --set "proxyImage.repository=${proxy%:*},proxyImage.tag=${proxy##*:}" >/dev/null
  kubectl -n "$namespace" get deployments
}

apply() {
  sed "s#docker.io/local/server-everything:dev#$server#" "$example" | kubectl apply -f -
}

is_ready() { [ "$(kubectl get sessionpool everything -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }

show_until_ready() {
  local until=$((SECONDS + 120)) line last=
  until is_ready; do
    if [ $SECONDS -ge $until ]; then
      kubectl get sessionpool everything -o yaml
      kubectl get pods -o wide
      echo "the pool did not become ready" >&2
      return 1
    fi
    line=$(kubectl get sessionpools --no-headers 2>/dev/null || true)
    if [ "$line" != "$last" ]; then echo "$line"; fi
    last=$line
    sleep 0.5
  done
  kubectl get sessionpools -o wide
}

forward() { # WHAT PORT: forwards a free local port and sets `forwarded` to it
  local log
  log=$(mktemp)
  kubectl port-forward "$1" ":$2" >"$log" 2>&1 &
  forwarders+=($!)
  wait_for 20 "port-forward to $1" grep -q Forwarding "$log"
  forwarded=$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' "$log" | head -1)
  rm -f "$log"
}

up() {
  local start=$SECONDS python
  forwarders=()
  trap 'if [ ${#forwarders[@]} -gt 0 ]; then kill "${forwarders[@]}" 2>/dev/null || true; fi' EXIT
  step "Installing what is missing"
  python=$(tests/upstreams/pypi/install.sh)/bin/python
  if [ "$cluster" = current ]; then
    tools
  else
    tests/cluster/needs.sh node >/dev/null
    tools
    step "Building proxy, operator and images"
    make images
    step "Bringing up Kubernetes"
    tests/cluster/up.sh "$cluster" node
    # A cluster that was up before may hold older images.
    tests/cluster/import.sh "$cluster" >/dev/null
  fi
  kubeconfig
  step "Installing the operator with Helm"
  install
  if [ "$cluster" != current ]; then kubectl -n "$namespace" rollout restart deployment/sessionpool-operator >/dev/null; fi
  kubectl -n "$namespace" rollout status deployment/sessionpool-operator --timeout=60s
  step "kubectl apply -f $example"
  apply
  show_until_ready
  step "20 MCP clients make 200 calls through the pool"
  forward service/everything-pool 8080
  "$python" tests/demo/client.py "http://127.0.0.1:$forwarded/mcp" --clients 20 --calls 200
  step "The pool"
  kubectl get sessionpools
  forward "$(kubectl get pods -l app.kubernetes.io/instance=everything -o name | head -1)" 9090
  statistics "$(curl -fsS "http://127.0.0.1:$forwarded/pool/stats")"
  curl -fsS "http://127.0.0.1:$forwarded/metrics" | grep -E '^mcpgateway_pool_(sessions_total|acquisitions_total|timeouts_total)'
  cat <<TEXT

Ready after $((SECONDS - start)) s. The cluster goes on running; make demo-down removes it.
  export KUBECONFIG=${KUBECONFIG:-}   PATH=$(dirname "$(command -v kubectl)"):\$PATH
What to try next
  see the pool          kubectl get sessionpools -o wide; kubectl describe sessionpool everything
  use it yourself       kubectl port-forward service/everything-pool 8080     then connect a client to http://127.0.0.1:8080/mcp
  resize it live        kubectl patch sessionpool everything --type merge -p '{"spec":{"poolMaxSize":8}}'
  metrics               kubectl port-forward service/everything-pool-peers 9090     then curl http://127.0.0.1:9090/metrics
  what can be set       kubectl explain sessionpool.spec
TEXT
}

down() {
  if [ "$cluster" = current ]; then
    tools
    kubectl delete -f "$example" --ignore-not-found
    helm uninstall sessionpool --namespace "$namespace" --wait || true
    echo "the SessionPool definition is kept; to remove it, and every pool: kubectl delete crd sessionpools.mcpgateway.io"
  else
    tests/cluster/down.sh "$cluster"
  fi
}

case ${1:-up} in
  up) up ;;
  down) down ;;
  *) echo "demo.sh up|down" >&2; exit 2 ;;
esac
