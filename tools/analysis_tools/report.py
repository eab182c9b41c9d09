#!/usr/bin/env python
"""Build the paper's tables; the same as ``mmaffinity report``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('report')
