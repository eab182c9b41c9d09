#!/usr/bin/env bash
# Train on machines allocated by SLURM: one torchrun per machine, one process per GPU.
#
#     sbatch --nodes 2 --gpus-per-node 4 tools/slurm_train.sh CONFIG [options of tools/train.py]
#
# It resumes automatically: submit the same command again after a preemption or timeout.
#SBATCH --job-name=mmaffinity
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@60
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: sbatch --nodes N --gpus-per-node G $0 CONFIG [options of tools/train.py]" >&2
    exit 2
fi
# SLURM runs a copy of this file; the checkout is the folder in which sbatch was called.
cd "${SLURM_SUBMIT_DIR:?this script is for sbatch}"
# One process per GPU on each machine, or PROCESSES, for CPUs.
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:?sbatch --gpus-per-node G, or PROCESSES=N for CPUs}}
export NNODES=$SLURM_JOB_NUM_NODES
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_ADDR
# A port per job, because jobs may share a machine.
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
# shellcheck disable=SC2016  # SLURM_NODEID differs between machines, so each machine's shell expands it.
exec srun --kill-on-bad-exit=1 bash -c 'NODE_RANK=$SLURM_NODEID exec tools/dist_train.sh "$0" "$@"' \
    "$1" "$processes" --resume "${@:2}"
