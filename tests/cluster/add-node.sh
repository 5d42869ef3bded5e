#!/bin/bash
# add-node.sh NAME-OR-STATE-FOLDER NUMBER: a further node (2 or more) for a running cluster: kubelet, containerd and kube-proxy of its own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
state=$(state_of "$1") node=node$2
[[ $2 =~ ^[0-9]+$ && $2 -ge 2 && $2 -le 200 ]] || { echo "a further node's number is 2 to 200, not '$2'" >&2; exit 2; }
[ -e "$state/pki/$node.kubeconfig" ] || "$here/certs.sh" --node "$state/pki" https://10.99.0.1:6443 "$node" "10.99.0.$((10 + $2))"
"$here/images.sh" list >"$state/images"
make_cgroups "$state" "$node"
mkdir -p "$state/$node"/{log,pid}
"$here/shell.sh" "$state" "$here/add-node-inside.sh" "$state" "$2" </dev/null
echo "$node is ready"
