#!/usr/bin/env python
"""Write the table of trained models; the same as ``mmaffinity model-zoo``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('model-zoo')
