#!/bin/bash
# Installs the npm packages of this folder into the cache, once per package-lock.json, and prints the folder:
#   node_modules/node/bin/node   Node.js 22
#   node_modules/@modelcontextprotocol/server-everything/dist/index.js
#   modules/                     the same without Node.js itself
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool/npm-$(sha256sum "$here/package-lock.json" | cut -c1-12)
if [ ! -e "$out/complete" ]; then
  "$here/../../cluster/packages.sh" npm
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock 9
fi
if [ ! -e "$out/complete" ]; then
  start=$SECONDS
  echo "npm: installing server-everything and Node.js 22" >&2
  cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$out/"
  (cd "$out" && npm ci --no-audit --no-fund --loglevel=error >&2)
  # Node.js is a package whose program is put in place by an install script of the package for this platform.
  rm -rf "$out/modules.part" "$out/modules"
  mkdir "$out/modules.part"
  (cd "$out/node_modules" && find . -mindepth 1 -maxdepth 1 ! -name 'node' ! -name 'node-*' ! -name '.*' -exec cp -a {} "$out/modules.part/" \;)
  mv "$out/modules.part" "$out/modules"
  touch "$out/complete"
  echo "npm: installed in $((SECONDS - start)) s" >&2
fi
echo "$out"
