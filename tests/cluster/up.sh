#!/bin/bash
# up.sh [NAME-OR-STATE-FOLDER] [node|control-plane]: brings a cluster up in the background, building and installing what is missing.
# Prints the KUBECONFIG that works from any shell. Does nothing when it is up already.
# up.sh --state NAME: only prints the state folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/process.sh"
. "$here/state.sh"
if [ "${1:-}" = --state ]; then state_of "$2" && exit; fi
name=${1:-default} mode=${2:-node}
state=$(state_of "$name")

# Two at once for the same cluster: the second waits, and then finds it up.
mkdir -p "$(dirname "$state")"
exec 8>"$state.lock"
flock 8
if [ -e "$state/ready" ] && recorded "$state/supervisor" >/dev/null; then
  echo "cluster $name is up already"
  echo "KUBECONFIG=$state/kubeconfig"
  exit
fi
"$here/down.sh" "$name" >/dev/null

if [ "$mode" = node ] && [ "$(id -u)" != 0 ]; then
  echo "a cluster with a node needs root; without: NODE=0 (control plane only)" >&2
  exit 1
fi
"$here/needs.sh" "$mode" >/dev/null
errors=$(mktemp)
start=$(date +%s%N)
echo "cluster $name: starting"
setsid "$here/supervise.sh" "$state" "$mode" </dev/null >"$errors" 2>&1 8>&- &
supervisor=$!
# A start that is interrupted leaves nothing.
trap 'kill -TERM $supervisor 2>/dev/null || true; wait $supervisor || true; rm -f "$errors"; exit 130' INT TERM
until [ -e "$state/ready" ]; do
  if ! kill -0 $supervisor 2>/dev/null; then
    cat "$errors" >&2
    rm -f "$errors"
    echo "cluster $name did not start; its logs are in $state.last" >&2
    exit 1
  fi
  sleep 0.1
done
rm -f "$errors"
elapsed=$((($(date +%s%N) - start) / 100000000))
echo "cluster $name: ready after $((elapsed / 10)).$((elapsed % 10)) s"
echo "KUBECONFIG=$state/kubeconfig"
