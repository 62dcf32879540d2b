#!/usr/bin/env bash
# Set-up: a virtual environment with wg and its pinned dependencies. `tools/setup.sh --help` says how.
set -euEo pipefail
trap 'printf "setup: error: line %s: %s\n" "$LINENO" "$BASH_COMMAND" >&2' ERR

usage() {
  cat <<'EOF'
Usage: tools/setup.sh [--python PYTHON] [--check]

Makes a virtual environment and installs wg in it, with the versions of tools/constraints.txt. A second run does
nothing while nothing has changed, and finishes what an interrupted one left.

  --python PYTHON  interpreter to build on, 3.10 or newer (default: the first that works of python3.12, python3.11,
                   python3.10, python3)
  --check          print nothing; exit 0 when the environment is complete, 1 when it is not

  WG_VENV          where the environment goes (default: .venv in this checkout)
  WG_MIN_DISK_GB   free space to ask for (default: 3 for the CPU build of PyTorch, 8 for the CUDA build)
EOF
}
say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# --- what is asked for -------------------------------------------------------------------------------------------
asked="" check_only=""
while (($#)); do
  case "$1" in
    --python) asked="${2:-}"; [[ -n "$asked" ]] || die "--python needs an interpreter"; shift 2 ;;
    --check) check_only=yes; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; printf 'setup: error: unknown argument %s\n' "$1" >&2; exit 2 ;;
  esac
done
venv="${WG_VENV:-}"
[[ -z "$venv" || "$venv" == /* ]] || venv="$PWD/$venv"
here="${BASH_SOURCE[0]%/*}"
cd "$here/.." && root="$(pwd -P)"
venv="${venv:-$root/.venv}"
py="$venv/bin/python"
stamp="$venv/.wg-stamp"
log="$venv/setup.log"

# The paths belong to it: in a copied or moved checkout the environment still imports the old one's wg.
fingerprint() { printf '%s %s %s\n' "$(cat pyproject.toml tools/constraints.txt | cksum)" "$root" "$venv"; }
# Prints the version of an interpreter; fails when it is missing, does not start (a pyenv shim) or is below 3.10.
version_of() {
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2]); sys.exit(sys.version_info < (3, 10))' 2>/dev/null
}
complete() {
  [[ -x "$py" && -f "$stamp" && "$(<"$stamp")" == "$(fingerprint)" ]] || return 1
  local built_on
  built_on="$(version_of "$py")" && [[ -z "$asked" || "$built_on" == "$(version_of "$asked")" ]]
}

if [[ -n "$check_only" ]]; then
  if complete; then exit 0; else exit 1; fi
fi
if complete; then
  say "$venv is complete and nothing has changed: nothing to do"
  exit 0
fi

# --- can it work at all ------------------------------------------------------------------------------------------
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
need_venv="has no venv module: install it (Debian, Ubuntu: sudo apt install python3-venv)"
need_venv+=" or name another interpreter: tools/setup.sh --python PYTHON"
need_python="no Python 3.10 or newer found on PATH: install one (Debian, Ubuntu: sudo apt install python3 python3-venv;"
need_python+=" macOS: brew install python) or name it: tools/setup.sh --python PYTHON"

find_python() {
  local candidate bare=""
  if [[ -n "$asked" ]]; then
    command -v "$asked" >/dev/null || die "--python $asked: no such program"
    version_of "$asked" >/dev/null || die "--python $asked: does not start, or is older than Python 3.10"
    has_venv "$asked" || die "$asked $need_venv"
    python="$asked"
    return
  fi
  for candidate in python3.12 python3.11 python3.10 python3; do
    version_of "$candidate" >/dev/null || continue
    if has_venv "$candidate"; then
      python="$candidate"
      return
    fi
    bare="${bare:-$candidate}"
  done
  [[ -z "$bare" ]] || die "$bare $need_venv"
  die "$need_python"
}

require_disk() { # require_disk GB WHAT
  local need="${WG_MIN_DISK_GB:-$1}" place="$venv" free used=0
  [[ "$need" =~ ^[0-9]+$ ]] || die "WG_MIN_DISK_GB=$need: give a whole number of gigabytes"
  if [[ -d "$venv" ]]; then used="$(du -sk "$venv" | awk '{ print int($1 / 1048576) }')"; fi
  while [[ ! -d "$place" ]]; do place="$(dirname "$place")"; done
  free="$(df -Pk "$place" | awk '{ for (i = 2; i <= NF; i++) if ($i ~ /%$/) free = $(i - 1) }
    END { print int(free / 1048576) }')"
  ((free + used >= need)) || die "$free GB free in $place, and $2 needs $need GB: free some space, or put the" \
    "environment on another disk with WG_VENV=DIR"
}

# WG_VENV=$HOME is a slip that must not cost anything: only what is visibly ours or a virtual environment is touched.
refuse_foreign() {
  [[ ! -e "$venv" || -f "$venv/pyvenv.cfg" || -e "$venv/.wg-lock" || -e "$venv/.wg-lock.d" ]] && return
  [[ -d "$venv" && -z "$(ls -A "$venv")" ]] && return
  die "$venv exists and is not a virtual environment: remove it, or choose another place with WG_VENV=DIR"
}

lock() {
  local holder waiting=""
  mkdir -p "$venv"
  if command -v flock >/dev/null; then
    exec 9>"$venv/.wg-lock"
    flock -n 9 && return
    say "another set-up of $venv is running: waiting for it"
    flock 9
    return
  fi
  until mkdir "$venv/.wg-lock.d" 2>/dev/null; do # macOS has no flock
    holder="$(cat "$venv/.wg-lock.d/pid" 2>/dev/null || true)"
    if [[ -n "$holder" ]] && ! kill -0 "$holder" 2>/dev/null; then
      rm -rf "$venv/.wg-lock.d"
      continue
    fi
    [[ -n "$waiting" ]] || say "another set-up of $venv is running: waiting for it (remove $venv/.wg-lock.d if not)"
    waiting=yes
    sleep 1
  done
  echo $$ >"$venv/.wg-lock.d/pid"
  trap 'rm -rf "$venv/.wg-lock.d"' EXIT
}

# --- the steps ---------------------------------------------------------------------------------------------------
make_venv() {
  local built_on
  if built_on="$(version_of "$py")" && "$py" -m pip --version >/dev/null 2>&1 &&
    [[ -z "$asked" || "$built_on" == "$(version_of "$asked")" ]]; then
    say "bringing $venv (Python $built_on) up to date"
    return
  fi
  [[ ! -e "$venv/bin" ]] || say "$venv is broken or of another Python: making it anew"
  find "$venv" -mindepth 1 -maxdepth 1 ! -name '.wg-lock*' -exec rm -rf {} +
  say "making $venv with Python $(version_of "$python") ($(command -v "$python"))"
  "$python" -m venv "$venv" >"$log" 2>&1 || explain "making the environment" 0
  echo '*' >"$venv/.gitignore"
}

no_compiler="command '[^']*' failed: No such file|No such file or directory: '[^']*(cc|[cg]\+\+|clang)'"
no_network='Retrying \(Retry|NewConnectionError|NameResolutionError|ConnectTimeout|ProxyError|SSLError|ReadTimeout'
explain() { # explain STEP LINES-OF-LOG-BEFORE-IT: the end of the log, then one line with the remedy
  local step="$1" text again="then run tools/setup.sh again: it goes on where it stopped"
  text="$(tail -n "+$(($2 + 1))" "$log")"
  printf '%s\n' "$text" | tail -n 15 | cut -c 1-200 | sed 's/^/  | /' >&2
  matches() { grep -qE -e "$1" <<<"$text"; }
  if matches 'No space left on device|Errno 28'; then
    die "$step: the disk is full: free some space in $venv or ${TMPDIR:-/tmp} (TMPDIR=DIR moves the latter), $again"
  elif matches "$no_compiler"; then
    die "$step: no C compiler: install gcc and g++ (Debian, Ubuntu: sudo apt install build-essential), $again"
  elif matches 'Python\.h: No such file'; then
    die "$step: the headers of Python are missing (Debian, Ubuntu: sudo apt install python3-dev), $again"
  elif matches "$no_network"; then
    die "$step: pip cannot reach its index: connect to the network, or name a mirror or proxy (PIP_INDEX_URL," \
      "HTTPS_PROXY), $again"
  fi
  die "$step failed: read the lines above and $log, remove the cause, $again"
}

lines_in_log() { if [[ -f "$log" ]]; then wc -l <"$log"; else echo 0; fi; }
pip_install() { # pip_install STEP ARGUMENTS...
  local step="$1" began="$SECONDS" before
  before="$(lines_in_log)"
  shift
  say "$step ..."
  "$py" -m pip install --no-input --disable-pip-version-check "$@" >>"$log" 2>&1 || explain "$step" "$before"
  say "$step: done in $((SECONDS - began)) s"
}

# An old pip reads new packages badly. An index without this version is no reason to stop; no index at all is one.
upgrade_pip() {
  local before
  before="$(lines_in_log)"
  say "installing pip ..."
  if "$py" -m pip install --no-input --disable-pip-version-check pip >>"$log" 2>&1; then return; fi
  if grep -qE "$no_network" <<<"$(tail -n "+$((before + 1))" "$log")"; then explain "installing pip" "$before"; fi
  say "the index does not have the pip of tools/constraints.txt: going on with $("$py" -m pip --version | cut -c 1-12)"
}

# The index decides which build comes. Asking first keeps a full disk from being found after gigabytes.
require_disk_for_torch() {
  local before report build count='import json, sys
names = [item["metadata"]["name"] for item in json.load(sys.stdin)["install"]]
print("CUDA" if any(name.startswith("nvidia") for name in names) else "CPU")'
  if "$py" -c 'from importlib.metadata import version; version("torch")' 2>/dev/null; then return; fi
  before="$(lines_in_log)"
  report="$("$py" -m pip install --no-input --disable-pip-version-check --dry-run --quiet \
    --report - torch 2>>"$log")" || explain "asking for PyTorch" "$before"
  build="$("$py" -c "$count" <<<"$report")"
  say "the index offers the $build build of PyTorch"
  if [[ "$build" == CUDA ]]; then require_disk 8 "the CUDA build of PyTorch"; fi
}

refuse_foreign
find_python
require_disk 3 "the environment"
lock
if complete; then
  say "$venv was completed meanwhile: nothing to do"
  exit 0
fi
trap 'say "interrupted: run tools/setup.sh again, it goes on where it stopped" >&2; exit 130' INT TERM
# Settings of the caller that would put packages elsewhere or count foreign ones as installed.
unset PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX
# Relative, because pip splits these at blanks. The second name is the one newer pips use for build environments.
export PIP_CONSTRAINT=tools/constraints.txt PIP_BUILD_CONSTRAINT=tools/constraints.txt
rm -f "$stamp"
began="$SECONDS"
make_venv
say "details go to $log"
upgrade_pip
require_disk_for_torch
# Before the large downloads: these three are compiled, and a missing compiler should show at once.
pip_install "compiling pyworld, pysptk, pesq (a few minutes)" pyworld pysptk pesq
pip_install "installing PyTorch" torch
pip_install "installing wg and the rest" --editable '.[dev]'
"$py" tools/fix_torchaudio.py || die "torchaudio does not work in $venv: see the line above"
fingerprint >"$stamp.new"
mv "$stamp.new" "$stamp"
say "$venv is ready after $((SECONDS - began)) s; to use it by hand: source tools/activate.sh"
