#!/usr/bin/env python
"""Verify the data of a config; the same as ``mmaffinity verify``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('verify')
