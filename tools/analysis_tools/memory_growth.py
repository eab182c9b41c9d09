#!/usr/bin/env python
"""Train or test a model, and print how memory grows; the same as ``mmaffinity memory-growth``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('memory-growth')
