#!/usr/bin/env python
"""Draw the phantom; the same as ``mmaffinity phantom``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('phantom')
