#!/usr/bin/env python
"""Predict scans; the same as ``mmaffinity predict``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('predict')
