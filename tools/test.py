#!/usr/bin/env python
"""Test a model; the same as ``mmaffinity test``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('test')
