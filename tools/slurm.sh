#!/usr/bin/env bash
#SBATCH --job-name=wg --nodes=1 --ntasks-per-node=1 --gpus-per-node=1 --cpus-per-task=8
#SBATCH --time=24:00:00 --signal=TERM@300 --requeue --open-mode=append
# Trains under SLURM, a task a GPU; what the time limit or pre-emption cuts off is put in the queue again, and goes on:
#   sbatch [--nodes=2 --ntasks-per-node=4 --gpus-per-node=4 ...] tools/slurm.sh recipes/NAME [ARGUMENTS...]
# Prepare and features have to be done before (recipes/NAME/run.sh --stop-stage features), with the same arguments.
set -uo pipefail
root="${WG_ROOT:-${SLURM_SUBMIT_DIR:-$PWD}}"
recipe="${1:?slurm: give a recipe folder, such as recipes/ljspeech}"
shift
# In the job and not in each of its tasks, so that the environment is not set up by all of them at once.
# shellcheck source=tools/activate.sh
source "$root/tools/activate.sh"
MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"
export MASTER_ADDR MASTER_PORT="${MASTER_PORT:-$((20000 + SLURM_JOB_ID % 12000))}"
devices=(--nodes "$SLURM_NNODES")
[[ -n "${SLURM_GPUS_ON_NODE:-}" ]] && devices+=(--ngpu "$SLURM_GPUS_ON_NODE")
# TERM, five minutes before the limit, goes to the tasks: they write a checkpoint and end with status 75.
srun --kill-on-bad-exit=0 python -m wg recipe "$recipe" --stage train --stop-stage train "${devices[@]}" "$@"
status=$?
if [[ $status -eq 75 ]]; then
  echo "slurm: not done yet; job $SLURM_JOB_ID goes to the queue again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
