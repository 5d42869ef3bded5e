#!/bin/bash
# shell.sh NAME-OR-STATE-FOLDER [COMMAND...]: runs a command (or a shell) in the network of a cluster, with KUBECONFIG set and its
# tools in PATH. Services resolve by name. The command ends with the cluster.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
name=${1:-default}
shift || true
state=$(state_of "$name")
recorded "$state/supervisor" >/dev/null || { echo "cluster $name is not up: run 'make cluster-up CLUSTER=$name'" >&2; exit 1; }
[ $# -gt 0 ] || set -- "${SHELL:-/bin/bash}"
tools=$(cat "$state/path")
export PATH=$tools:$PATH
if pid=$(node_init "$state"); then
  export KUBECONFIG=$state/pki/admin.kubeconfig
  exec nsenter --target "$pid" --net --mount --pid --uts --ipc --wd="$PWD" "$@"
fi
export KUBECONFIG=$state/kubeconfig
exec "$@"
