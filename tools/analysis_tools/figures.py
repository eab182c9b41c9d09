#!/usr/bin/env python
"""Draw the paper's figures; the same as ``mmaffinity figures``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('figures')
