#!/bin/bash
# down.sh [NAME-OR-STATE-FOLDER]: ends a cluster and removes everything that it left, also after a crash of any part.
# Does nothing when there is none. The logs stay in STATE.last.
# down.sh --cgroups NAME-OR-STATE-FOLDER: only prints the cluster's control groups.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
if [ "${1:-}" = --cgroups ]; then
  for hierarchy in $(cgroup_hierarchies); do echo "$hierarchy/$(cgroup_of "$(state_of "$2")")"; done
  exit
fi
state=$(state_of "${1:-default}")
[ -d "$state" ] || { echo "cluster ${1:-default} is not up"; exit 0; }
if supervisor=$(recorded "$state/supervisor"); then
  # The state folder is the last thing that the supervisor removes.
  kill -TERM "$supervisor" 2>/dev/null || true
  for _ in $(seq 300); do
    recorded "$state/supervisor" >/dev/null || break
    sleep 0.1
  done
  if supervisor=$(recorded "$state/supervisor"); then kill -KILL "$supervisor" || true; fi
fi
remove_state "$state"
echo "cluster ${1:-default} is down"
