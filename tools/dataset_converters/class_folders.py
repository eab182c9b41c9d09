#!/usr/bin/env python
"""Convert class folders of slices; the same as ``mmaffinity convert class-folders``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'class-folders')
