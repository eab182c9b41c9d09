#!/usr/bin/env python
"""Convert iCTCF; the same as ``mmaffinity convert ictcf``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'ictcf')
