#!/usr/bin/env python
"""Convert COVID-CT-MD; the same as ``mmaffinity convert covid-ct-md``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'covid-ct-md')
