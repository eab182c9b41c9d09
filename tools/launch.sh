#!/usr/bin/env bash
# Run a tool in several processes with torchrun, for dist_train.sh and dist_test.sh.
#
#     tools/launch.sh TOOL PROCESSES [arguments of the tool]
set -euo pipefail
tools=$(cd "$(dirname "$0")" && pwd)
tool=$1
processes=$2
shift 2
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "error: the number of processes must be a positive integer, not '$processes'" >&2
    exit 2
fi
if [ "${NNODES:-1}" = 1 ] && [ -z "${MASTER_PORT:-}" ]; then
    # On one machine, torchrun chooses a free port, so that runs do not collide.
    where=(--standalone)
else
    where=(--nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}" --master-addr "${MASTER_ADDR:-127.0.0.1}"
           --master-port "${MASTER_PORT:-29500}")
fi
# The checkout comes first, so the package need not be installed.
export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
# torchrun's default, set here to avoid its warning; with several cores per process, set a higher value.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "${PYTHON:-python}" -m torch.distributed.run "${where[@]}" --nproc-per-node "$processes" \
    "$tools/$tool" "$@" --launcher pytorch
