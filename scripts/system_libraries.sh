#!/usr/bin/env bash
# Find the system libraries that are missing, install them where that is allowed, name them where not.
#
#   scripts/system_libraries.sh python [PYTHON]   what making a virtual environment needs
#   scripts/system_libraries.sh window            what a napari window needs, and Xvfb without a display
set -euo pipefail

purpose=${1:?python or window}
[[ $(uname -s) == Linux ]] || exit 0

missing=()

need_file() { # package, shared library
  local known
  known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p)
  grep -qF "$2 " <<<"$known" || missing+=("$1")
}

need_command() { # package, command
  command -v "$2" >/dev/null || missing+=("$1")
}

find_missing() {
  missing=()
  if [[ $purpose == python ]]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    return
  fi
  need_file libegl1 libEGL.so.1
  need_file libgl1 libGL.so.1
  need_file libglx-mesa0 libGLX_mesa.so.0
  need_file libglib2.0-0 libglib-2.0.so.0
  need_file libdbus-1-3 libdbus-1.so.3
  need_file libfontconfig1 libfontconfig.so.1
  need_file libxcb-cursor0 libxcb-cursor.so.0
  need_file libxcb-icccm4 libxcb-icccm.so.4
  need_file libxcb-image0 libxcb-image.so.0
  need_file libxcb-keysyms1 libxcb-keysyms.so.1
  need_file libxcb-randr0 libxcb-randr.so.0
  need_file libxcb-render-util0 libxcb-render-util.so.0
  need_file libxcb-shape0 libxcb-shape.so.0
  need_file libxcb-xfixes0 libxcb-xfixes.so.0
  need_file libxcb-xinerama0 libxcb-xinerama.so.0
  need_file libxcb-xkb1 libxcb-xkb.so.1
  need_file libxkbcommon-x11-0 libxkbcommon-x11.so.0
  compgen -G '/usr/lib*/*/dri/*_dri.so' >/dev/null || compgen -G '/usr/lib*/dri/*_dri.so' >/dev/null ||
    missing+=(libgl1-mesa-dri)
  if [[ -z ${DISPLAY:-} ]]; then
    need_command xvfb Xvfb
    need_command xauth xauth
  fi
}

python=${2:-python3}
find_missing
((${#missing[@]} == 0)) && exit 0

as_root=()
may_install=yes
command -v apt-get >/dev/null || may_install=no
if ((EUID != 0)); then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    may_install=no
  fi
fi

if [[ $may_install == yes ]]; then
  echo "installing system packages: ${missing[*]}"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300)
  # a package list that is missing or old names versions that are no longer served
  if { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null; then
    "${as_root[@]}" ldconfig
    find_missing
    ((${#missing[@]} == 0)) && exit 0
  else
    cat "$log" >&2
  fi
fi

echo "These system packages are missing: install them with" \
  "'sudo apt-get install --no-install-recommends ${missing[*]}'" \
  "(or their equivalents where there is no apt), then run make again." >&2
exit 1
