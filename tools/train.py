#!/usr/bin/env python
"""Train a model; the same as ``mmaffinity train``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('train')
