#!/usr/bin/env python
"""Time a model; the same as ``mmaffinity benchmark``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('benchmark')
