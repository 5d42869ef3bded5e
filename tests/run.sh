#!/bin/bash
# run.sh LEVEL...: runs levels of tests in order (see level.sh) and prints a summary. Stops at the first that fails.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
begin=$SECONDS summary=() failed=0
for level in "$@"; do
  printf '\033[1m== %s\033[0m\n' "$level"
  start=$SECONDS result=ok
  "$here/level.sh" "$level" || result=FAILED failed=1
  summary+=("$(printf '%-9s %-7s %4d s' "$level" $result $((SECONDS - start)))")
  [ $failed = 0 ] || break
done
printf '\033[1m== summary\033[0m\n'
printf '%s\n' "${summary[@]}"
printf '%-9s %-7s %4d s\n' total '' $((SECONDS - begin))
exit $failed
