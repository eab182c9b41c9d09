#!/usr/bin/env python
"""Join a detector with a slice head; the same as ``mmaffinity rois merge``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('rois', 'merge')
