#!/bin/bash
# install.sh [FOLDER]: installs the Python packages that FOLDER/requirements.txt locks (this folder's without it) into the
# cache once, and prints the folder of their virtual environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
locked=$(cd "${1:-$here}" && pwd)/requirements.txt
hash=$(sha256sum "$locked" | cut -c1-12)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/sessionpool/pypi-$hash
mkdir -p "$(dirname "$folder")"
exec 9>"$folder.lock"
flock 9
if [ ! -e "$folder/complete" ]; then
  echo "Python packages: installing" >&2
  start=$SECONDS
  "$here/../../cluster/packages.sh" python3 python3-venv
  rm -rf "$folder"
  python3 -m venv "$folder"
  "$folder/bin/pip" install --quiet --no-deps --requirement "$locked" >&2
  touch "$folder/complete"
  echo "Python packages: installed in $((SECONDS - start)) s" >&2
fi
echo "$folder"
