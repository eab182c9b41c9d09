#!/usr/bin/env python
"""Convert folders of slices and masks; the same as ``mmaffinity convert image-pairs``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'image-pairs')
