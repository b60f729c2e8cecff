#!/usr/bin/env bash
# Fetch u-Segment3D, beside which the benchmark measures, into a folder of its own.
#
#   scripts/peers.sh PYTHON FOLDER
#
# It asks for an older numpy and cellpose than ours, but its descent runs with the newest; so it is
# installed without what it asks for, where only the process that measures it looks. (It is
# GPL-licensed: the benchmark calls it, and no part of it is shipped.)
set -euo pipefail

python=${1:?the Python of the environment}
folder=${2:?where the packages go}

if [[ -f $folder/.ready ]]; then
  exit 0
fi
if ! "$python" -m pip install -q --no-input --disable-pip-version-check --no-deps \
    --ignore-requires-python --upgrade --target "$folder" \
    "u-Segment3D==0.1.6" "connected-components-3d>=3.12"; then
  echo "u-Segment3D could not be fetched: the benchmark goes on without it." >&2
  exit 0
fi
touch "$folder/.ready"
