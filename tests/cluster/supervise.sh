#!/bin/bash
# supervise.sh STATE control-plane|node [--until-eof]
# Runs a cluster in the foreground until SIGTERM, or with --until-eof until standard input ends (so that it can't outlive
# the process that holds the other end). Everything it starts dies with it, also by kill -9. STATE/ready appears once it serves.
# The logs stay in STATE.last; with --until-eof only when KEEP_LOGS is set.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/ports.sh"
. "$here/state.sh"
. "$here/control-plane.sh"
state=$1 mode=$2 until_eof=${3:-}
pki=$state/pki

tools=$("$here/needs.sh" --check "$mode")
PATH=$tools:$PATH

mkdir -p "$(dirname "$state")"
mkdir -m 700 "$state" || { echo "$state exists: it belongs to a cluster that is up, or run down.sh first" >&2; exit 1; }
mkdir -m 700 "$state"/{log,pid,etcd}
echo "$tools" >"$state/path"
record $$ "$state/supervisor"

finish() {
  trap - TERM INT EXIT
  kill_parts
  remove_state "$state"
  if [ -n "$until_eof" ] && [ -z "${KEEP_LOGS:-}" ]; then
    rm -rf "$state.last"
    rmdir --ignore-fail-on-non-empty "$(dirname "$state")"
  fi
}
trap finish EXIT
trap 'exit 0' TERM INT

# The children's standard input is /dev/null, so a copy is kept for the one that reads it.
if [ "$until_eof" = --until-eof ]; then
  setpriv --pdeathsig KILL cat <&0 >/dev/null 9>&- &
fi
exec </dev/null
claim_ports

case $mode in
  control-plane)
    # Without a node there is nobody to serve the kubernetes Service's address: --endpoint-reconciler-type=none.
    address=127.0.0.1 advertise=127.0.0.1
    setpriv --pdeathsig KILL "$here/certs.sh" "$pki" "https://127.0.0.1:$port_api" node1 127.0.0.1
    cp "$pki/admin.kubeconfig" "$state/kubeconfig"
    start_api --endpoint-reconciler-type=none
    start_controllers
    ;;
  node) . "$here/node-outside.sh" ;;
  *) echo "the mode is control-plane or node, not '$mode'" >&2; exit 2 ;;
esac
touch "$state/ready"
keep_parts
