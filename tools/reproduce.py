#!/usr/bin/env python
"""Run a whole study; the same as ``mmaffinity reproduce``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('reproduce')
