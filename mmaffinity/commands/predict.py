"""Predict scans: images, DICOM series and NIfTI volumes. docs/prediction.md describes the output.

    mmaffinity predict SCAN_FOLDER --config affinity_c8 --checkpoint epoch_100.pth --out results
    mmaffinity predict SCAN_FOLDER --model affinity_c8_steady.onnx --out results

The second form runs a model exported by "mmaffinity export onnx", without torch.

With --num-shards and --shard, or under torchrun or srun, several processes or machines share the scans. Then run

    mmaffinity predict --merge --out results
"""

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmaffinity.apis.prediction import OVERLAYS, predict_to_folder
from mmaffinity.apis.prediction_report import PredictionReport, report_lines
from mmaffinity.apis.prediction_totals import PAGE, merge_shards
from mmaffinity.commands.arguments import (
    add_config_options,
    add_fallback_arguments,
    add_reading_arguments,
    fallback_options,
    read_options,
)
from mmaffinity.scans import check_inputs
from mmaffinity.scans.shards import Shard, find_shard
from mmaffinity.utils.console import ProgressLine
from mmaffinity.utils.provenance import NOTICE
from mmaffinity_cli import load

if TYPE_CHECKING:
    from mmaffinity.apis.base_inferencer import SliceInferencer

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')
PRECISIONS = ('auto', 'float32', 'bfloat16', 'int8')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('inputs', nargs='*', metavar='INPUT', help='files and folders of scans')
    parser.add_argument('--config', help='name or path of a config, for example affinity_c8')
    parser.add_argument('--checkpoint', help='weights, for example work_dirs/affinity_c8/epoch_100.pth')
    parser.add_argument('--model', metavar='FILE.onnx', help='exported model, instead of --config and --checkpoint')
    parser.add_argument(
        '--backend',
        choices=BACKENDS,
        default='auto',
        help='runtime (default: torch for a checkpoint; for an exported model, the installed one or, if both are installed, '
        'ONNX Runtime for float32 and OpenVINO for bfloat16 and int8)',
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='auto',
        help='bfloat16 is faster on processors and GPUs that support it, and slower if it is emulated; int8 needs a model '
        'exported with --int8 (default: float32, or the precision of the exported model)',
    )
    add_fallback_arguments(parser)
    parser.add_argument('--out', required=True, help='folder for the results; nothing is written elsewhere')
    parser.add_argument('--resume', action='store_true', help='resume an interrupted run; finished slices are kept')
    parser.add_argument('--device', help='cpu, cuda (gpu), or cuda:1 (1) for the second GPU (default: a GPU if there is one)')
    parser.add_argument('--batch-size', type=int, help='slices per batch (default: 8 on a GPU, 1 on the CPU)')
    parser.add_argument(
        '--workers', type=int, help='processes that read slices while the network runs (default: 1 on the CPU, 4 on a GPU)'
    )
    parser.add_argument('--score-thr', type=float, default=0.5, help='omit lesions with a lower score (default: 0.5)')
    add_reading_arguments(parser)
    parser.add_argument(
        '--max-value', type=int, help='value of white in 16-bit images: 4095 for 12-bit content (default: 65535)'
    )
    parser.add_argument('--overlays', choices=OVERLAYS, default='all', help='slices that get an overlay (default: all)')
    parser.add_argument('--show-rois', action='store_true', help='draw the RoIs used for classification')
    parser.add_argument(
        '--html',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write index.html and a page per scan that is not too large, to open in a browser (default: yes)',
    )
    parser.add_argument(
        '--dicom-seg', action='store_true', help='write DICOM-SEG and DICOM-SR for DICOM series (needs highdicom)'
    )
    parser.add_argument(
        '--num-shards',
        type=int,
        metavar='N',
        help='divide the scans among N processes (default: those of torchrun or srun)',
    )
    parser.add_argument(
        '--shard',
        type=int,
        metavar='I',
        help='number of this process, 0 to N - 1 (default: from torchrun, srun or the SLURM job array)',
    )
    parser.add_argument(
        '--merge', action='store_true', help='write the files that cover all scans, from finished shards in --out'
    )
    add_config_options(parser)


def run(args: argparse.Namespace) -> int:
    if args.merge:
        return _show(merge_shards(args.out), args.out)
    _check_arguments(args)
    check_inputs(args.inputs)  # before the model is built
    shard, origin = find_shard(args.num_shards, args.shard)
    if shard is not None:
        print(f'shard {shard.index} of {shard.num} ({origin})', flush=True)
    inferencer = _inferencer(args, shard)
    progress = ProgressLine('predicting', 'slices')
    try:
        report = predict_to_folder(
            inferencer,
            args.inputs,
            args.out,
            args.score_thr,
            args.resume,
            args.overlays,
            args.show_rois,
            args.dicom_seg,
            progress,
            args.html,
            shard,
        )
    except KeyboardInterrupt:
        progress.close()
        print(f'to continue in {args.out}, add --resume', file=sys.stderr)
        raise
    finally:
        progress.close()
    return _show(report, args.out, shard)


def _check_arguments(args: argparse.Namespace) -> None:
    """Check that inputs and a model are given, and that the other options suit the model.

    Raises:
        ValueError: if an argument is missing or unsuitable.
    """
    if not args.inputs:
        raise ValueError('missing INPUT: mmaffinity predict INPUT --config CONFIG --checkpoint FILE --out DIR')
    fallback_options(args)
    if args.model is None:
        missing = [name for name, value in (('--config', args.config), ('--checkpoint', args.checkpoint)) if not value]
        if missing:
            raise ValueError(f'missing {", ".join(missing)}: give --config and --checkpoint, or --model for an exported model')
        if args.backend not in ('auto', 'torch'):
            raise ValueError(
                f'--backend {args.backend} needs an exported model: run mmaffinity export onnx, and pass it as --model'
            )
        if args.precision == 'int8':
            raise ValueError(
                '--precision int8 needs a quantised model: run mmaffinity export onnx --int8 SLICES, and pass it as --model'
            )
        return
    unfit = [
        name
        for name, value in (
            ('--config', args.config),
            ('--checkpoint', args.checkpoint),
            ('--cfg-options', args.cfg_options),
            ('--workers', args.workers),
        )
        if value is not None
    ]
    unfit += ['--backend torch'] if args.backend == 'torch' else []
    unfit += [f'--device {args.device}'] if args.device not in (None, 'cpu') else []
    if unfit:
        raise ValueError(f'--model takes an exported model, which runs on the CPU without a config: omit {", ".join(unfit)}')


def _inferencer(args: argparse.Namespace, shard: Shard | None) -> 'SliceInferencer':
    """Build the inferencer, importing only the one that is used."""
    if args.model is not None:
        from mmaffinity.apis.onnx_inferencer import OnnxInferencer

        return OnnxInferencer(
            args.model,
            args.backend,
            args.precision,
            batch_size=args.batch_size,
            options=read_options(args),
            **fallback_options(args),
        )
    return load('mmaffinity.apis.inferencer').AffinityInferencer(
        args.config,
        args.checkpoint,
        args.device or _own_gpu(shard),
        args.batch_size,
        read_options(args),
        args.cfg_options,
        args.workers,
        args.precision,
    )


def _own_gpu(shard: Shard | None) -> str | None:
    """Return the GPU of this process if torchrun or srun started several on this machine; None for the default device."""
    local = os.environ.get('LOCAL_RANK', os.environ.get('SLURM_LOCALID'))
    if shard is None or local is None:
        return None
    import torch

    count = torch.cuda.device_count()
    return f'cuda:{int(local) % count}' if count > 1 else None


def _show(report: PredictionReport, out: str, shard: Shard | None = None) -> int:
    for line in report_lines(report, out):
        print(line)
    if shard is not None:
        rest = f'; once all shards have finished, run mmaffinity predict --merge --out {shlex.quote(out)} to combine them'
    else:
        page = Path(out) / PAGE
        rest = f'; open {page} in a browser' if page.is_file() else ''
    print(f'Results are in {out}{rest}. {NOTICE}')
    return 1 if report.failed else 0
