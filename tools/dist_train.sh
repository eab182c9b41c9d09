#!/usr/bin/env bash
# Train with several processes, one per GPU, or on the CPU if there is no GPU.
#
#     tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
#
# On several machines, run the same command on each, with NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT (docs/distributed.md).
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [options of tools/train.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/launch.sh" train.py "$2" "$1" "${@:3}"
