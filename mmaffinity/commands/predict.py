"""Predict scans: images, DICOM series, NIfTI volumes. docs/prediction.md describes the output.

    mmaffinity predict SCAN_FOLDER --config affinity_c8 --checkpoint epoch_100.pth --out results
    mmaffinity predict SCAN_FOLDER --model affinity_c8_steady.onnx --out results

The second form runs a file of "mmaffinity export onnx" without torch.
"""
import argparse
import sys
from typing import TYPE_CHECKING

from mmaffinity.commands.reading_arguments import add_reading_arguments, read_options
from mmaffinity.scans import check_inputs
from mmaffinity.utils.cli import ConfigOptions
from mmaffinity.utils.console import ProgressLine
from mmaffinity.utils.provenance import NOTICE

if TYPE_CHECKING:
    from mmaffinity.apis.base_inferencer import SliceInferencer

OVERLAYS = ('all', 'lesions', 'none')
BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')
PRECISIONS = ('auto', 'float32', 'bfloat16')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='files and folders')
    parser.add_argument('--config', help='name or path of a config, for example affinity_c8')
    parser.add_argument('--checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--model', metavar='FILE.onnx', help='exported model, instead of --config and --checkpoint')
    parser.add_argument('--backend', choices=BACKENDS, default='auto',
                        help='what runs the model (default: torch for a checkpoint; for an exported model, the first that is '
                             'installed)')
    parser.add_argument('--precision', choices=PRECISIONS, default='auto',
                        help='bfloat16 is faster on processors and GPUs that have it, and slower where it is emulated '
                             '(default: float32, or that of the exported model)')
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
    inferencer = _inferencer(args)
    from mmaffinity.apis.prediction import predict_to_folder
    from mmaffinity.apis.prediction_report import report_lines
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


def _inferencer(args: argparse.Namespace) -> 'SliceInferencer':
    """Return the model; each kind is imported only if it is used.

    Raises:
        ValueError: if the arguments do not name one model, or do not fit its kind.
    """
    options = read_options(args)
    if args.model is None:
        if args.config is None or args.checkpoint is None:
            raise ValueError('name a model: --config and --checkpoint, or --model with an exported one')
        if args.backend not in ('auto', 'torch'):
            raise ValueError(f'--backend {args.backend} runs exported models: write one with mmaffinity export onnx, and give '
                             'it as --model')
        from mmaffinity.apis.inferencer import AffinityInferencer
        return AffinityInferencer(args.config, args.checkpoint, args.device, args.batch_size, options, args.cfg_options,
                                  args.precision)
    unfit = [name for name, value in (('--config', args.config), ('--checkpoint', args.checkpoint),
                                      ('--cfg-options', args.cfg_options)) if value is not None]
    if args.backend == 'torch':
        unfit.append('--backend torch')
    if args.device not in (None, 'cpu'):
        unfit.append(f'--device {args.device}')
    if unfit:
        raise ValueError('--model is an exported model, which runs on the CPU and needs no config: leave out '
                         f'{", ".join(unfit)}')
    from mmaffinity.apis.onnx_inferencer import OnnxInferencer
    return OnnxInferencer(args.model, args.backend, args.precision, batch_size=args.batch_size, options=options)
