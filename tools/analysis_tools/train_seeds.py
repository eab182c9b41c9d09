#!/usr/bin/env python
"""Train and test a config with several seeds; the same as ``mmaffinity train-seeds``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('train-seeds')
