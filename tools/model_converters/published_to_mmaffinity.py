#!/usr/bin/env python
"""Convert a published checkpoint; the same as ``mmaffinity convert published``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'published')
