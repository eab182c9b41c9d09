"""``python -m mmaffinity COMMAND``, the same as ``mmaffinity COMMAND``."""

from mmaffinity_cli import main

main()
