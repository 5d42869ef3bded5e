#!/bin/bash
# install.sh: installs the locked Python packages into the cache once, and prints the folder of their virtual environment.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
hash=$(sha256sum "$here/requirements.txt" | cut -c1-12)
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
  "$folder/bin/pip" install --quiet --no-deps --requirement "$here/requirements.txt" >&2
  touch "$folder/complete"
  echo "Python packages: installed in $((SECONDS - start)) s" >&2
fi
echo "$folder"
