#!/usr/bin/env python
"""Export a model as safetensors; the same as ``mmaffinity export safetensors``."""

from mmaffinity_cli import main

if __name__ == '__main__':
    main('export', 'safetensors')
