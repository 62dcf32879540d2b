# shellcheck shell=bash
# The environment that has wg, for `source`: WG_VENV where it is set, else the active one, else .venv (made if missing).
# Exports WG_ROOT, and NLTK_DATA where the data lies beside the checkout.

_wg_find() { # _wg_find THIS_FILE
  local here venv
  here="$(dirname "$(readlink -f "$1")")"
  WG_ROOT="$(cd "$here/.." && pwd -P)"
  export WG_ROOT
  if [[ -z "${NLTK_DATA:-}" && -d "$WG_ROOT/../shared/data/nltk_data" ]]; then
    NLTK_DATA="$(cd "$WG_ROOT/../shared/data/nltk_data" && pwd -P)"
    export NLTK_DATA
  fi
  if [[ -z "${WG_VENV:-}" ]] && _wg_active; then return 0; fi
  venv="${WG_VENV:-$WG_ROOT/.venv}"
  [[ "$venv" == /* ]] || venv="$PWD/$venv"
  "$WG_ROOT/tools/setup.sh" --check || "$WG_ROOT/tools/setup.sh" || return 1
  case "$PATH" in
    "$venv/bin:"*) ;;
    *) export PATH="$venv/bin:$PATH" ;;
  esac
  export VIRTUAL_ENV="$venv"
  unset PYTHONHOME
  hash -r
}

# Whether the python on PATH has an installed wg. find_spec looks without importing, which would take seconds. The
# current folder does not count (in this checkout every python finds wg), nor does wg without what it needs. The
# checkout's own .venv does not pass here, so that it is brought up to date even when it is active.
_wg_active() {
  local found
  [[ "${VIRTUAL_ENV:-}" != "$WG_ROOT/.venv" ]] || return 1
  found="$(python -c '
import sys
sys.path = [entry for entry in sys.path if entry]
from importlib.util import find_spec
specs = [find_spec(name) for name in ("wg", "torch", "lightning", "lhotse")]
sys.exit(1) if None in specs or specs[0].origin is None else print(specs[0].origin)
' 2>/dev/null)" || return 1
  [[ "$found" == "$WG_ROOT/"* ]] || echo "wg: the active environment has its own wg: $found" >&2
}

_wg_find "${BASH_SOURCE[0]:-$0}" || { # $0: zsh
  unset -f _wg_find _wg_active
  return 1
}
unset -f _wg_find _wg_active
