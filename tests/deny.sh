#!/bin/bash
# deny.sh: checks the dependencies by the rules in deny.toml, with a cargo-deny of a fixed version, built once into the cache.
# Advisories are checked where their database can be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.20.2
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool/cargo-deny-$version
deny=$folder/bin/cargo-deny
mkdir -p "$folder"
exec 9>"$folder/.lock"
flock 9
if [ ! -x "$deny" ]; then
  echo "building cargo-deny $version, which takes some minutes" >&2
  start=$SECONDS
  # Not in the workspace's target folder: this is another program.
  env -u CARGO_TARGET_DIR cargo install cargo-deny --locked --version "$version" --root "$folder"
  echo "built in $((SECONDS - start)) s" >&2
fi
exec 9>&-

"$deny" --locked check --hide-inclusion-graph bans licenses sources
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if "$deny" --locked fetch db >"$log" 2>&1; then
  "$deny" --locked check --disable-fetch --hide-inclusion-graph advisories
else
  echo "advisories were NOT checked: their database could not be fetched ($(grep -v '^ *$' "$log" | tail -n 1))"
fi
