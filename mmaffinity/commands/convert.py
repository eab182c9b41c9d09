"""Convert downloaded data sets and published checkpoints."""

import argparse

from mmaffinity.commands import (
    convert_class_folders,
    convert_cncb_ncov,
    convert_covid_ct_md,
    convert_covidx_ct,
    convert_ictcf,
    convert_image_pairs,
    convert_nifti_pairs,
    convert_published,
)
from mmaffinity.commands.arguments import add_kinds

KINDS = {
    'class-folders': convert_class_folders,
    'cncb-ncov': convert_cncb_ncov,
    'covid-ct-md': convert_covid_ct_md,
    'covidx-ct': convert_covidx_ct,
    'ictcf': convert_ictcf,
    'image-pairs': convert_image_pairs,
    'nifti-pairs': convert_nifti_pairs,
    'published': convert_published,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_kinds(parser, KINDS)


def run(args: argparse.Namespace) -> int:
    if args.kind == 'published':
        convert_published.run(args)
        return 0
    summary = KINDS[args.kind].convert(args)
    print(summary.table())
    return 1 if summary.problems else 0
