#!/usr/bin/env bash
# Run a command on the display that is there, or on a virtual one where there is none.
set -euo pipefail

if [[ $(uname -s) != Linux || -n ${DISPLAY:-} ]]; then
  exec "$@"
fi
# make looked for Xvfb when it was first run; there may have been a display then
command -v xvfb-run >/dev/null || "$(dirname "${BASH_SOURCE[0]}")/system_libraries.sh" window
# Qt's own offscreen platform has no OpenGL, so napari could not draw.
export QT_QPA_PLATFORM=xcb
exec xvfb-run -a -s "-screen 0 1280x1024x24" "$@"
