#!/usr/bin/env python
"""Predict scans: images, DICOM series, NIfTI volumes. docs/prediction.md says what is written.

    python tools/predict.py SCAN_FOLDER --config configs/affinity_c8.py --checkpoint epoch_100.pth --out results
"""
import argparse
import sys

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.prediction import OVERLAYS, TimeLeft, predict_to_folder
from mmaffinity.apis.prediction_report import report_lines
from mmaffinity.scans import TRAINING_WINDOW, ReadOptions, Window, check_inputs
from mmaffinity.utils.cli import ConfigOptions, run_tool
from mmaffinity.utils.text import plural


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Predict scans: images, DICOM series, NIfTI volumes')
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='files and folders')
    parser.add_argument('--config', required=True, help='config file, for example configs/affinity_c8.py')
    parser.add_argument('--checkpoint', required=True, help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--out', required=True, help='folder for the results; nothing is written elsewhere')
    parser.add_argument('--resume', action='store_true', help='continue an interrupted run: what is done is kept')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ... (default: a GPU where there is one)')
    parser.add_argument('--batch-size', type=int, help='slices at once (default: 8 on a GPU, 1 on the CPU)')
    parser.add_argument('--score-thr', type=float, default=0.5,
                        help='lesions with a lower score are left out (default: 0.5)')
    parser.add_argument('--window', type=float, nargs=2, metavar=('LEVEL', 'WIDTH'),
                        default=(TRAINING_WINDOW.level, TRAINING_WINDOW.width),
                        help='window in Hounsfield units, for DICOM and NIfTI (default: -600 1500)')
    parser.add_argument('--rescale', type=float, nargs=2, metavar=('SLOPE', 'INTERCEPT'),
                        help='to Hounsfield units, for DICOM without rescale tags and NIfTI with 12-bit values')
    parser.add_argument('--max-value', type=int,
                        help='white of 16-bit images: 4095 for 12-bit content (default: 65535)')
    parser.add_argument('--overlays', choices=OVERLAYS, default='all', help='pictures of which slices (default: all)')
    parser.add_argument('--show-rois', action='store_true', help='draw the boxes that the class was read from')
    parser.add_argument('--dicom-seg', action='store_true', help='write DICOM-SEG for DICOM series (needs highdicom)')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE',
                        help='override config fields')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_inputs(args.inputs)  # before the model is built
    options = ReadOptions(Window(*args.window), args.rescale and tuple(args.rescale), args.max_value)
    inferencer = AffinityInferencer(args.config, args.checkpoint, args.device, args.batch_size, options,
                                    args.cfg_options)
    time_left = TimeLeft()
    live = sys.stderr.isatty()

    def progress(done: int, total: int, name: str) -> None:
        left = time_left(done, total)
        if live or done == total or done % 50 == 0:
            rest = '' if left is None else f', {left // 60:.0f} min {left % 60:02.0f} s left'
            text = f'{done} of {plural(total, "slice")}{rest}: {name}'
            print(f'\r\033[K{text[:100]}' if live else text, end='' if live else '\n', file=sys.stderr, flush=True)

    try:
        report = predict_to_folder(
            inferencer, args.inputs, args.out, args.score_thr, args.resume, args.overlays, args.show_rois,
            args.dicom_seg, progress)
    except KeyboardInterrupt:
        print(f'\ninterrupted; --resume continues {args.out}', file=sys.stderr)
        raise
    finally:
        if live:
            print(file=sys.stderr)
    for line in report_lines(report, args.out):
        print(line)
    print(f'Results are in {args.out}. Research use only; not a medical device.')
    if report.failed:
        sys.exit(1)


if __name__ == '__main__':
    run_tool(main)
