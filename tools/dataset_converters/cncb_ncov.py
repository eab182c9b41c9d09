#!/usr/bin/env python
"""Convert CNCB-NCOV; the same as ``mmaffinity convert cncb-ncov``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'cncb-ncov')
