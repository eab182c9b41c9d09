#!/usr/bin/env python
"""Convert COVIDx-CT; the same as ``mmaffinity convert covidx-ct``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'covidx-ct')
