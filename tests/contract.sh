#!/bin/bash
# contract.sh: runs the tests of the documented contract, one for each row, and prints the table.
# Needs the built programs, as the level `proxy` of level.sh has them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

rows=(
  "statistics: 15 keys, and sums that hold"
  "configuration: changed while running; a wrong one is refused"
  "defaults, and the POOL_* variables"
  "strategies: different, predicted sequences"
  "waiters: first come, first served, in under 5 ms"
  "time-out: 503 after poolTimeout, counted"
  "all sessions lost: the next calls are served"
  "drain: finishes, refuses, ends at the deadline, sends DELETE"
  "reset: all replaced, none cut"
  "optimize: advice with reasons, read-only"
  "disabling: drained, direct, no call lost"
  "metrics: names and labels; promtool reads them"
  "troubleshooting: symptoms and remedies"
)

output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
RUST_TEST_THREADS=${RUST_TEST_THREADS:-4} cargo test --no-fail-fast -p tests --test proxy_contract rows:: | tee "$output" || status=$?

printf '\n\033[1m%-4s %-64s %s\033[0m\n' row check result
for ((row = 1; row <= ${#rows[@]}; row++)); do
  name=$(printf 's%02d' $row)
  result=$(sed -nE "s/^test rows::${name}::.* \.\.\. ([a-zA-Z]+).*/\1/p" "$output")
  case $result in
    ok) result=pass ;;
    *) result=FAIL status=1 ;;
  esac
  printf '%-4s %-64s %s\n' "S$row" "${rows[row - 1]}" "$result"
done
exit "$status"
