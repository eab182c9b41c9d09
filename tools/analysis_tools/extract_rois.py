#!/usr/bin/env python
"""Store the RoIs of a frozen detector; the same as ``mmaffinity rois extract``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('rois', 'extract')
