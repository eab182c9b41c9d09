"""Convert COVID-CT-MD, DICOM folders with slice labels, into labelled slices, slice lists and statistics.

Example:
    mmaffinity convert covid-ct-md /downloads/COVID-CT-MD --only-lungs
"""

import argparse

from mmaffinity.commands.arguments import read_options
from mmaffinity.commands.data_arguments import add_volume_arguments, result_options
from mmaffinity.datasets.conversion import ConversionSummary, CtMdOptions, convert_covid_ct_md


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('root', help='folder with COVID-19 Cases/, Cap Cases/ and Normal Cases/')
    add_volume_arguments(parser, 'data/covid_ct_md')
    parser.add_argument('--index', metavar='FILE', help='index of the patients (default: Index.csv in ROOT)')
    parser.add_argument(
        '--labels', metavar='FILE', help='slice labels (default: Slice-level-labels*.npy in ROOT, the updated one first)'
    )
    parser.add_argument(
        '--clear-as-normal',
        action='store_true',
        help='keep the slices without infection of patients with pneumonia, labelled as Normal',
    )
    parser.add_argument('--only-lungs', action='store_true', help='keep slices without infection only if they show lungs')


def convert(args: argparse.Namespace) -> ConversionSummary:
    options = CtMdOptions(args.every, args.clear_as_normal, args.only_lungs, read_options(args))
    return convert_covid_ct_md(args.root, args.out, options, index=args.index, labels=args.labels, **result_options(args))
