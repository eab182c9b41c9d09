#!/usr/bin/env python
"""Compare answers across threads, machines and rounding; the same as ``mmaffinity agreement``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('agreement')
