#!/usr/bin/env bash
# Check that 'make demo' left everything it promises in a folder, and no half-written file.
set -euo pipefail

folder=${1:?folder of the demo}

one_of() { # what, glob
  compgen -G "$folder/$2" >/dev/null || {
    echo "the demo left no $1 ($2) in $folder" >&2
    exit 1
  }
}

one_of "labels as OME-Zarr" '*.zarr/zarr.json'
one_of "labels as TIFF" '*.tif*'
one_of "table of instances" '*.csv'
one_of "screenshot of the window" 'window.png'
if find "$folder" -size 0 -type f | grep .; then
  echo "the demo left empty files in $folder" >&2
  exit 1
fi
