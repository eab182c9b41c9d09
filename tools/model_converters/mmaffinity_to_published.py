#!/usr/bin/env python
"""Write a checkpoint in the published layout; the same as ``mmaffinity export published``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('export', 'published')
