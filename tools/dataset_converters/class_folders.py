#!/usr/bin/env python
"""Convert one folder of slices per class; the same as ``mmaffinity convert class-folders``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'class-folders')
