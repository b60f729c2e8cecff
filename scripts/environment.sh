#!/usr/bin/env bash
# Make the virtual environment if it is missing, and install this checkout into it.
#
#   scripts/environment.sh PYTHON FOLDER EXTRAS
set -euo pipefail

python=${1:?a Python 3.11 or newer}
folder=${2:?where the environment lies}
extras=${3:?extras of the package, separated by commas}
here=$(dirname "${BASH_SOURCE[0]}")

if ! command -v "$python" >/dev/null; then
  echo "$python was not found: install Python 3.11 or newer, or name one with 'make PYTHON=...'." >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "$("$python" --version) is too old: name a Python 3.11 or newer with 'make PYTHON=...'." >&2
  exit 1
fi
if ! "$folder/bin/python" -m pip --version >/dev/null 2>&1; then
  "$here/system_libraries.sh" python "$python"
  "$python" -m venv --clear "$folder"
fi
echo "installing napari-cellseg[$extras] into $folder (with PyTorch about 5 GB the first time)"
"$folder/bin/python" -m pip install -qq --no-input --disable-pip-version-check -e ".[$extras]"
