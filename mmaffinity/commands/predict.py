"""Predict scans: images, DICOM series, NIfTI volumes. docs/prediction.md describes the output.

    mmaffinity predict SCAN_FOLDER --config affinity_c8 --checkpoint epoch_100.pth --out results
"""
import argparse
import sys

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.prediction import OVERLAYS, predict_to_folder
from mmaffinity.apis.prediction_report import report_lines
from mmaffinity.commands.arguments import add_reading_arguments, read_options
from mmaffinity.scans import check_inputs
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.console import ProgressLine
from mmaffinity.utils.provenance import NOTICE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='files and folders')
    parser.add_argument('--config', required=True, help='name or path of a config, for example affinity_c8')
    parser.add_argument('--checkpoint', required=True, help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--out', required=True, help='folder for the results; nothing is written elsewhere')
    parser.add_argument('--resume', action='store_true', help='continue an interrupted run; finished slices are kept')
    parser.add_argument('--device', help='cpu, cuda (gpu), or cuda:1 (1) for the second GPU (default: a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, help='slices per batch (default: 8 on a GPU, 1 on the CPU)')
    parser.add_argument('--score-thr', type=float, default=0.5,
                        help='omit lesions with a lower score (default: 0.5)')
    add_reading_arguments(parser)
    parser.add_argument('--max-value', type=int,
                        help='value of white in 16-bit images; 4095 for 12-bit content (default: 65535)')
    parser.add_argument('--overlays', choices=OVERLAYS, default='all', help='slices to draw overlays for (default: all)')
    parser.add_argument('--show-rois', action='store_true', help='draw the RoIs used for classification')
    parser.add_argument('--dicom-seg', action='store_true', help='write DICOM-SEG for DICOM series (needs highdicom)')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields')


def run(args: argparse.Namespace) -> int:
    check_inputs(args.inputs)  # before the model is built
    inferencer = AffinityInferencer(args.config, args.checkpoint, args.device, args.batch_size, read_options(args),
                                    args.cfg_options)
    progress = ProgressLine('predicting', 'slices')
    try:
        report = predict_to_folder(
            inferencer, args.inputs, args.out, args.score_thr, args.resume, args.overlays, args.show_rois,
            args.dicom_seg, progress)
    except KeyboardInterrupt:
        progress.close()
        print(f'--resume continues {args.out}', file=sys.stderr)
        raise
    finally:
        progress.close()
    for line in report_lines(report, args.out):
        print(line)
    print(f'Results are in {args.out}. {NOTICE}')
    return 1 if report.failed else 0
