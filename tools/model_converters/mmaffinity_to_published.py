#!/usr/bin/env python
"""Convert a checkpoint to the published layout; the same as ``mmaffinity export published``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('export', 'published')
