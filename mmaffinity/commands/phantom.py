"""Write the phantom: synthetic chest-CT slices in the raw layouts and lists of CNCB-NCOV, iCTCF and COVIDx-CT.

The phantom replaces data that may not be redistributed; it is never a source of results.

    mmaffinity phantom data/phantom --size 256
"""

import argparse
from dataclasses import fields

from mmaffinity.datasets.phantom.plan import PhantomSettings
from mmaffinity.datasets.phantom.writer import write_phantom
from mmaffinity.utils.console import ProgressLine
from mmaffinity.utils.wording import plural

HELP = {
    'seed': 'seed of all patients',
    'size': 'side length of the slices in pixels',
    'slices_per_patient': 'adjacent slices of each patient',
    'lesions_train': 'training slices with lesion masks',
    'lesions_test': 'test slices with lesion masks',
    'slices_train': 'training slices with class labels',
    'slices_selected': 'training slices in the balanced list',
    'slices_val': 'validation slices with class labels',
    'slices_test': 'test slices with class labels',
    'ictcf_train': 'training slices of the second hospital',
    'ictcf_test': 'test slices of the second hospital',
    'covidx_train': "training slices in COVIDx-CT's layout",
    'covidx_val': "validation slices in COVIDx-CT's layout",
    'covidx_test': "test slices in COVIDx-CT's layout",
    'nifti_pairs': 'patients with a NIfTI volume and a lesion mask',
    'covid_ct_md': "patients of each class in COVID-CT-MD's layout, DICOM series with slice labels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('out_dir', nargs='?', default='data/phantom', help='folder to write (default: data/phantom)')
    for field in fields(PhantomSettings):
        parser.add_argument(
            '--' + field.name.replace('_', '-'),
            type=int,
            default=field.default,
            metavar='N',
            help=f'{HELP[field.name]} (default: {field.default})',
        )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a phantom with other settings, and everything converted from it',
    )


def run(args: argparse.Namespace) -> None:
    settings = {field.name: getattr(args, field.name) for field in fields(PhantomSettings)}
    summary = write_phantom(args.out_dir, progress=ProgressLine('drawing', 'slices'), overwrite=args.overwrite, **settings)
    for split, classes in summary.slices.items():
        counts = ', '.join(f'{count} {name}' for name, count in classes.items() if count)
        print(f'{split}: {plural(sum(classes.values()), "slice")} of {plural(summary.patients[split], "patient")} ({counts})')
    print(f'{summary.out_dir}: {plural(summary.written, "file")} written, {summary.kept} kept')
