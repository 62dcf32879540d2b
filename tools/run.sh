#!/usr/bin/env bash
# The one entry of every recipe: tools/run.sh RECIPE_DIR [ARGUMENTS...]. The stage loop is `python -m wg recipe`.
set -euo pipefail
recipe="${1:-}"
[[ -d "$recipe" ]] || {
  echo "run: error: '$recipe' is not a folder: tools/run.sh RECIPE_DIR [ARGUMENTS...], or recipes/NAME/run.sh" >&2
  exit 2
}
shift
recipe="$(cd "$recipe" && pwd -P)"
# shellcheck source=tools/activate.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/activate.sh"
exec python -m wg recipe "$recipe" "$@"
