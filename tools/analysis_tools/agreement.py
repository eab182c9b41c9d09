#!/usr/bin/env python
"""Compare predictions across threads, instructions and rounding; the same as ``mmaffinity agreement``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('agreement')
