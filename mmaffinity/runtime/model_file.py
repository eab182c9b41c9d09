"""Read exported models as untrusted data."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmaffinity.scans.opening import printable, read_regular

from .graph_check import inspect

FORMAT, SCHEMA = 'mmaffinity-onnx', 1
MAX_BYTES = 512 * 1024**2  # an exported model has about 30 MB
MAX_DESCRIPTION = 64 * 1024
MAX_SIDE = 4096
MAX_NAMES = 1000
STORED = ('float32', 'int8')  # precisions of exported models


@dataclass(frozen=True)
class ModelFile:
    """A checked ONNX file.

    Attributes:
        path: path of the file.
        content: bytes of the file.
        sha256: SHA-256 of the content.
        description: the metadata; see docs/deployment.md.
        width, height: size in pixels to which slices are resized.
        slice_classes, lesion_classes: names of the classes.
        mask_threshold: lowest probability of a lesion pixel.
    """

    path: Path
    content: bytes
    sha256: str
    description: dict[str, Any]
    width: int
    height: int
    slice_classes: tuple[str, ...]
    lesion_classes: tuple[str, ...]
    mask_threshold: float


def read_model_file(path: str | Path) -> ModelFile:
    """Read and check an exported model without executing anything in it.

    The file is read once, and runtimes receive the checked bytes, not the path.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is not a model from ``mmaffinity export onnx``, is damaged, or contains anything that such a model
            does not.
    """
    shown = printable(path)
    if not Path(path).exists():
        raise FileNotFoundError(f'no such model: {shown}')
    try:
        content = read_regular(Path(path).resolve(), MAX_BYTES)
        contents = inspect(content)
        described = _described(contents.metadata)
        if hashlib.sha256(contents.graph).hexdigest() != described['graph_sha256']:
            raise ValueError('is damaged or was modified: its graph does not match the SHA-256 in its metadata')
        if contents.quantized != (described['precision'] == 'int8'):
            raise ValueError(f'claims precision {described["precision"]}, which its operators contradict')
        size = described['preprocessing']
        shape = contents.inputs.get('slices')
        if len(contents.inputs) != 1 or shape is None or shape[1:] != (1, size['height'], size['width']):
            raise ValueError(f'has inputs {contents.inputs}, not slices of {size["width"]} x {size["height"]} pixels')
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{shown} {error}; mmaffinity export onnx CONFIG CHECKPOINT OUT.onnx exports a model') from error
    return ModelFile(
        Path(path),
        content,
        hashlib.sha256(content).hexdigest(),
        described,
        size['width'],
        size['height'],
        tuple(described['slice_classes']),
        tuple(described['lesion_classes']),
        described['mask_threshold'],
    )


def _described(metadata: dict[str, str]) -> dict[str, Any]:
    """Return the description in the metadata.

    Raises:
        ValueError: if there is none, or an entry is missing or invalid.
    """
    text = metadata.get('mmaffinity')
    if text is None:
        raise ValueError('has no mmaffinity description in its metadata')
    if len(text) > MAX_DESCRIPTION:
        raise ValueError(f'has a description of {len(text)} characters, above the limit of {MAX_DESCRIPTION}')
    described = json.loads(text)
    if not isinstance(described, dict) or described.get('format') != FORMAT:
        raise ValueError(f'has a description in a format other than {FORMAT}')
    if described.get('schema') != SCHEMA:
        raise ValueError(
            f'has schema {described.get("schema")!r:.20}, but this version reads schema {SCHEMA}: export the '
            'model again, or update mmaffinity'
        )
    size = described.get('preprocessing')
    if not isinstance(size, dict) or not all(
        type(size.get(side)) is int and 32 <= size[side] <= MAX_SIDE for side in ('width', 'height')
    ):
        raise ValueError(f'has no slice size from 32 to {MAX_SIDE} pixels')
    if size.get('interpolation') != 'bilinear' or size.get('grey_levels') != [0, 255]:
        raise ValueError(f'needs preprocessing that this version does not support: {str(size):.200}')
    for name in ('slice_classes', 'lesion_classes'):
        names = described.get(name)
        if not isinstance(names, list) or len(names) > MAX_NAMES or not all(isinstance(item, str) for item in names):
            raise ValueError(f'has no valid {name}: they must be a list of at most {MAX_NAMES} names')
    for name in ('graph_sha256', 'config_sha256', 'checkpoint_sha256'):
        if not isinstance(described.get(name), str):
            raise ValueError(f'has no {name}')
    if described.get('precision') not in STORED:
        raise ValueError(f'has precision {described.get("precision")!r:.20}, not {" or ".join(STORED)}')
    threshold = described.get('mask_threshold')
    if type(threshold) is not float or not 0 < threshold < 1:
        raise ValueError(f'has mask_threshold {threshold!r:.20}, which is not between 0 and 1')
    return described
