#!/usr/bin/env bash
# Trains on several machines without a scheduler. The same command on each, and the first one's address everywhere:
#   MASTER_ADDR=node01 tools/torchrun.sh NODES recipes/NAME [--ngpu N] [ARGUMENTS...]
# Prepare and features have to be done before, in a --work-dir that all machines see. A run that was asked to end (TERM,
# --max-time) is ended by status 75 on each machine, and goes on when the command is given again.
set -euo pipefail
nodes="${1:?torchrun: give the number of machines}" recipe="${2:?torchrun: give a recipe folder}"
shift 2
: "${MASTER_ADDR:?torchrun: export MASTER_ADDR, the address of the first machine, on all of them}"
export MASTER_ADDR MASTER_PORT="${MASTER_PORT:-29500}"
# shellcheck source=tools/activate.sh
source "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/activate.sh"
exec python -m wg recipe "$recipe" --stage train --stop-stage train --nodes "$nodes" "$@"
