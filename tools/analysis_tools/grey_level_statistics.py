#!/usr/bin/env python
"""Compute the mean and std of the grey levels of a config's training slices; the same as ``mmaffinity statistics``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('statistics')
