#!/usr/bin/env python
"""Run the demo on synthetic slices; the same as ``mmaffinity demo``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('demo')
