#!/usr/bin/env bash
# Train on machines that SLURM gives: one torchrun on each, one process per GPU.
#
#     sbatch --nodes 2 --gpus-per-node 4 tools/slurm_train.sh CONFIG [options of tools/train.py]
#
# It resumes by itself: submit the same line again after a preemption or when the time was up.
#SBATCH --job-name=mmaffinity
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@60
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: sbatch --nodes N --gpus-per-node G $0 CONFIG [options of tools/train.py]" >&2
    exit 2
fi
# SLURM runs a copy of this file, so the checkout is where sbatch was called.
cd "${SLURM_SUBMIT_DIR:?this script is for sbatch}"
# As many processes as each machine has GPUs; PROCESSES overrides, for CPUs.
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:?sbatch --gpus-per-node G, or PROCESSES=N for CPUs}}
export NNODES=$SLURM_JOB_NUM_NODES
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR
# A port of its own for each job, as jobs may share a machine.
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
# shellcheck disable=SC2016  # SLURM_NODEID differs between the machines: each one's own shell fills it in.
exec srun --kill-on-bad-exit=1 bash -c 'NODE_RANK=$SLURM_NODEID exec tools/dist_train.sh "$0" "$@"' \
    "$1" "$processes" --resume "${@:2}"
