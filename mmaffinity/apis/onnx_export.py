"""Export a whole model as one ONNX file that runs without torch."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmaffinity import __version__
from mmaffinity.deployment.operations import translations
from mmaffinity.deployment.quantization import quantize
from mmaffinity.deployment.slice_graph import SliceGraph
from mmaffinity.runtime.graph_check import inspect
from mmaffinity.runtime.model_file import FORMAT, SCHEMA
from mmaffinity.scans import TRAINING_WINDOW, Problem, sample_slices
from mmaffinity.utils.files import whole_file
from mmaffinity.utils.optional import quiet, require
from mmaffinity.utils.provenance import NOTICE, SYNTHETIC

from .inferencer import AffinityInferencer

OPSET = 21  # the newest whose RoiAlign ONNX Runtime implements on CPUs
EXAMPLES = 3  # slices to trace with; not 1, which torch would treat as a constant


def export_onnx(
    config: str | Path | Config,
    checkpoint: str | Path,
    out: str | Path,
    cfg_options: dict | None = None,
    int8: Sequence[str | Path] | None = None,
    calibration: int = 100,
) -> Path:
    """Write a model as one ONNX file, from a grayscale slice to lesions and classes.

    The file uses only standard ONNX operators, accepts any number of slices, and describes its preprocessing and classes in its
    metadata; docs/deployment.md lists inputs, outputs and metadata. It is written under a temporary name and renamed.

    Args:
        config: a config or its path; ``test_cfg.mode`` selects the outputs.
        checkpoint: matching weights.
        out: file to write; an existing file is replaced.
        cfg_options: overrides of config fields by dotted key.
        int8: training slices (files and folders, as for prediction) on which to calibrate int8 convolutions; None exports
            float32.
        calibration: maximum number of these slices, evenly spaced.

    Returns:
        The file.

    Raises:
        FileNotFoundError: if the config, the checkpoint or a calibration slice does not exist.
        ValueError: if ``out`` does not end with .onnx, config and checkpoint do not match, the model or its preprocessing
            cannot be exported, no calibration slice can be read, or the package onnx or onnxscript is missing.
    """
    out = Path(out)
    if out.suffix != '.onnx':
        raise ValueError(f'{out} must end with .onnx')
    inferencer = AffinityInferencer(config, checkpoint, 'cpu', cfg_options=cfg_options)
    onnx = require('onnx', 'onnx')
    require('onnxscript', 'onnx')
    width, height = _resized_to(inferencer)
    calibrated: dict[str, Any] = {}
    if int8 is not None:  # before the export, which takes longer, so that unreadable slices are reported at once
        slices, calibrated = _calibration(int8, calibration, (width, height))
    graph = SliceGraph(inferencer.model, height, width).eval()
    with quiet('torch.onnx'):  # progress messages, and notes on torchvision, which the graph does not use
        program = torch.onnx.export(
            graph,
            (torch.zeros(EXAMPLES, 1, height, width),),
            dynamo=True,
            opset_version=OPSET,
            input_names=['slices'],
            output_names=list(graph.output_names),
            dynamic_shapes=({0: torch.export.Dim('N', min=1)},),
            custom_translation_table=translations(),
            external_data=False,
            verbose=False,
        )
    model = program.model_proto
    if int8 is not None:
        model = quantize(model, slices)
    _strip(model)
    content = model.SerializeToString(deterministic=True)
    head = inferencer.model.roi_head
    described = dict(
        format=FORMAT,
        schema=SCHEMA,
        notice=NOTICE,
        precision='float32' if int8 is None else 'int8',
        **calibrated,
        mode=graph.mode,
        preprocessing=dict(
            width=width,
            height=height,
            interpolation='bilinear',
            grey_levels=[0, 255],
            window=dict(level=TRAINING_WINDOW.level, width=TRAINING_WINDOW.width),
            in_graph=_normalization(inferencer),
        ),
        slice_classes=list(inferencer.slice_classes),
        lesion_classes=list(inferencer.lesion_classes),
        mask_threshold=float(head.test_cfg.get('mask_thr_binary', 0.5)),
        score_threshold=float(head.test_cfg.score_thr),
        config=_name(inferencer.description['config']),
        config_sha256=inferencer.description['config_sha256'],
        checkpoint=_name(checkpoint),
        checkpoint_sha256=inferencer.description['checkpoint_sha256'],
        graph_sha256=hashlib.sha256(inspect(content).graph).hexdigest(),
        versions=dict(mmaffinity=__version__, torch=torch.__version__, onnx=onnx.__version__),
    )
    if inferencer.description.get(SYNTHETIC):
        described[SYNTHETIC] = True
    del model.metadata_props[:]
    model.metadata_props.add(key='mmaffinity', value=json.dumps(described, sort_keys=True, allow_nan=False))
    with whole_file(out) as file:
        file.write(model.SerializeToString(deterministic=True))
    return out


def _calibration(inputs: Sequence[str | Path], most: int, size: tuple[int, int]) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return calibration slices, float32 (1, 1, H, W), and their description for the metadata.

    Raises:
        FileNotFoundError: if an input does not exist.
        ValueError: if no slice can be read, or ``most`` is below 1.
    """
    if most < 1:
        raise ValueError(f'the number of calibration slices must be at least 1, not {most}')
    grey = [
        cv2.resize(np.ascontiguousarray(item.grey), size, interpolation=cv2.INTER_LINEAR)
        for item in sample_slices(inputs, most)
        if not isinstance(item, Problem)
    ]
    if not grey:
        raise ValueError(f'no calibration slice could be read from {", ".join(map(str, inputs))}: give training slices')
    digest = hashlib.sha256(b''.join(pixels.tobytes() for pixels in grey)).hexdigest()
    slices = [pixels.astype(np.float32)[None, None] for pixels in grey]
    return slices, dict(calibration=dict(slices=len(slices), sha256=digest))


def _resized_to(inferencer: AffinityInferencer) -> tuple[int, int]:
    """Return the width and height that the config's test pipeline resizes slices to.

    Raises:
        ValueError: if the pipeline does anything else, or takes colour images.
    """
    if inferencer.options.color:
        raise ValueError('only models of grayscale slices can be exported to ONNX; this one takes colour images')
    steps = list(inferencer.pipeline.transforms)
    names = [type(step).__name__ for step in steps]
    resize = next((step for step in steps if type(step).__name__ == 'Resize'), None)
    if (
        names != ['LoadCTSliceFromArray', 'Resize', 'PackSliceInputs']
        or resize is None
        or resize.scale is None
        or resize.keep_ratio
        or resize.interpolation != 'bilinear'
        or resize.backend != 'cv2'
    ):
        raise ValueError(
            f'only a test pipeline that resizes slices to a fixed size with keep_ratio=False can be exported, not {steps}'
        )
    return resize.scale


def _normalization(inferencer: AffinityInferencer) -> dict[str, Any]:
    preprocessor = inferencer.model.data_preprocessor
    known = dict(mean=float(preprocessor.mean), std=float(preprocessor.std)) if preprocessor.normalization == 'global' else {}
    return dict(scale=1 / 255, normalization=preprocessor.normalization, **known)


def _name(path: str | Path | None) -> str | None:
    return None if path is None else Path(path).name


def _strip(model: Any) -> None:
    """Remove the exporter's notes, which name files on this machine, from the model and its nodes."""
    model.producer_name, model.producer_version = 'mmaffinity', __version__
    model.ClearField('doc_string')
    for part in (
        model.graph,
        *model.graph.node,
        *model.graph.value_info,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ):
        part.ClearField('doc_string')
        del part.metadata_props[:]
