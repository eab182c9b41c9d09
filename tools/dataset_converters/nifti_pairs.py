#!/usr/bin/env python
"""Convert NIfTI volumes with masks; the same as ``mmaffinity convert nifti-pairs``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('convert', 'nifti-pairs')
