#!/bin/bash
# add-node-inside.sh CLUSTER-STATE NUMBER: run in the namespaces of node1, within which the new node gets its own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
cluster=$1 node=node$2 ip=10.99.0.$((10 + $2))
state=$cluster/$node

if [ -e "$state/ready" ] && recorded "$state/unshare" >/dev/null; then exit; fi
# Left by a node that was killed.
rm -f "$state"/{ready,init}
ip link delete "link$2" 2>/dev/null || true

setsid unshare --net --mount --pid --uts --ipc --mount-proc --propagation private --kill-child=KILL \
  "$here/node-inside.sh" "$cluster" "$node" </dev/null >>"$state/log/node.log" 2>&1 &
unshare=$!
record $unshare "$state/unshare"
init() { tr -d ' ' <"/proc/$unshare/task/$unshare/children"; }
first_process() { [ -n "$(init)" ]; }
wait_for 10 "the namespaces of $node" first_process
init >"$state/init"

# The link lies in the new namespace from the start, so it goes away with it.
ip link add "link$2" type veth peer name eth0 netns "$(cat "$state/init")"
ip link set "link$2" master node0 up
ip route replace "10.244.$2.0/24" via "$ip"
wait_for 180 "$node" test -e "$state/ready"
