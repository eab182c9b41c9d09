#!/usr/bin/env bash
# Test with several processes, one per GPU, or on the CPU if there is no GPU.
#
#     tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of tools/test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT PROCESSES [options of tools/test.py]" >&2
    exit 2
fi
exec "$(dirname "$0")/launch.sh" test.py "$3" "$1" "$2" "${@:4}"
