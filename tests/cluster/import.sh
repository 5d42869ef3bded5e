#!/bin/bash
# import.sh NAME-OR-STATE-FOLDER [ARCHIVE...]: puts image archives (by default all that were built) on every node of a running cluster.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
state=$(state_of "${1:-default}")
shift || true
[ -d "$state/node1" ] || { echo "$state is no cluster with a node that is up" >&2; exit 1; }
if [ $# = 0 ]; then mapfile -t archives < <("$here/images.sh" list); else archives=("$@"); fi
for archive in "${archives[@]}"; do
  archive=$(realpath "$archive")
  for node in "$state"/node*; do
    enter=()
    if [ -e "$node/init" ]; then enter=(nsenter --target "$(cat "$node/init")" --net --mount --pid); fi
    "$here/shell.sh" "$state" "${enter[@]}" ctr -n k8s.io images import "$archive" </dev/null
  done
done
