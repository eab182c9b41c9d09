"""Convert one of the author's published checkpoints to this package's format, without executing code from it."""

import argparse

from mmaffinity_cli import load


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', metavar='IN.pth', help='published affinity model, Mask R-CNN or Single-Shot Model')
    parser.add_argument('target', metavar='OUT.pth', help='file to write; an existing file is replaced')


def run(args: argparse.Namespace) -> None:
    meta = load('mmaffinity.checkpoints.published').convert_published_file(args.source, args.target)
    published = ', '.join(f'{key} {value}' for key, value in meta['published'].items() if value is not None)
    print(f'{args.target}: {meta["kind"]} from {meta["source"]["file"]} ({published})')
    print(f'sha256 of the source: {meta["source"]["sha256"]}')
    if meta['config']:
        options = ' '.join(f'{key}={value}' for key, value in meta['cfg_options'].items())
        print(f'config: {meta["config"]}' + (f' --cfg-options {options}' if options else ''))
    else:
        print('config: none, because these parts do not make a complete model')
    print(f'read: {", ".join(meta["parts"])}')
    if meta['not_read']:
        print(f'not read: {", ".join(meta["not_read"])}')
    if meta['ignored']:
        print(f'ignored: {", ".join(meta["ignored"])}')
    if meta['anchors'] is None:
        print('anchors: not in the file; those of configs/published are assumed')
