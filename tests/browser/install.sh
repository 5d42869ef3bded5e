#!/bin/bash
# Installs Chromium, and the npm packages of this folder into the cache, once per package-lock.json; prints the folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool/browser-$(sha256sum "$here/package-lock.json" | cut -c1-12)
"$here/../cluster/packages.sh" chromium
if [ ! -e "$out/complete" ]; then
  "$here/../cluster/packages.sh" npm
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock 9
fi
if [ ! -e "$out/complete" ]; then
  cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$out/"
  (cd "$out" && npm ci --no-audit --no-fund --loglevel=error >&2)
  touch "$out/complete"
fi
echo "$out"
