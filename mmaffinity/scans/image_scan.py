"""Image files of one folder, as the slices of one scan, and arrays."""

import re
import warnings
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

import numpy as np

from mmaffinity.utils.decoding import array_to_grey, check_max_value, decode_slice

from .items import MAX_SLICE_PIXELS, Problem, ReadOptions, Scan, ScanInfo, Slice, check_side
from .notes import WARNING
from .opening import brief, file_key, printable, read_regular

MASK_LEVELS = 4  # largest number of grey levels of a mask; slices have over a hundred
DARK = 128  # the brightest pixel of real slices was at least 249


class ImageScan(Scan):
    """PNG, JPEG, TIFF, BMP, WebP and PGM files, 8 and 16 bit, in the natural order of their names.

    Args:
        folder: their folder.
        names: names of the files.
        name: name of the scan.
        options: ``max_value`` is used for 16-bit files.
    """

    def __init__(self, folder: Path, names: Sequence[str], name: str, options: ReadOptions) -> None:
        super().__init__(
            ScanInfo(
                name=name,
                source=printable(folder),
                kind='images',
                num_slices=len(names),
                notes=[
                    'images have no spacing: areas are in pixels, volumes are unknown',
                    'grey levels are taken as they are: a lung window is assumed',
                ],
            )
        )
        self.folder = folder
        self.names = sorted(names, key=natural)
        self.options = options
        self._keys: list[str] = []

    def _key(self, name: str) -> str:
        try:
            return f'{printable(name)}|{file_key(self.folder / name)}'
        except OSError:  # removed since it was listed; reading it reports this
            return f'{printable(name)}|gone'

    def keys(self) -> Sequence[str]:
        # Only once: a file that changes during the run would have two keys, and neither in the results.
        if not self._keys:
            self._keys = [self._key(name) for name in self.names]
        return self._keys

    def read(self, done: Container[str] = ()) -> Iterator[Slice | Problem]:
        for index, (name, key) in enumerate(zip(self.names, self.keys())):
            if key in done:
                continue
            shown = f'{self.info.name}/{printable(name)}'
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter('always')
                    grey = decode_slice(read_regular(self.folder / name), self.options.max_value, MAX_SLICE_PIXELS)
                if self._key(name) != key:
                    raise ValueError('was changed while the run went on: use --resume to predict its current content')
                check_side(*grey.shape)
                notes = tuple(f'{WARNING}{warning.message}' for warning in caught if warning.category is UserWarning)
                yield Slice(shown, key, index, grey, notes=notes or grey_notes(grey))
            except (MemoryError, Exception) as error:
                yield Problem(shown, brief(error), key)

    def source_paths(self) -> Sequence[Path]:
        return [self.folder / name for name in self.names]


class ArrayScan(Scan):
    """Slices in memory: (H, W) or colour, uint8, uint16, or float with 8-bit grey levels.

    Args:
        arrays: the slices.
        options: ``max_value`` is used for uint16.
        first: number of the first slice, if others were given before.
    """

    def __init__(self, arrays: Sequence[np.ndarray], options: ReadOptions, first: int = 0) -> None:
        super().__init__(ScanInfo(name='arrays', source='memory', kind='images', num_slices=len(arrays)))
        self.arrays = arrays
        self.first = first
        check_max_value(options.max_value)
        self.options = options

    def keys(self) -> Sequence[str]:
        return [f'array#{self.first + index}' for index in range(len(self.arrays))]

    def read(self, done: Container[str] = ()) -> Iterator[Slice | Problem]:
        for index, array in enumerate(self.arrays):
            key = name = f'array#{self.first + index}'
            if key in done:
                continue
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter('always')
                    grey = array_to_grey(array, self.options.max_value)
                check_side(*grey.shape)
                notes = tuple(f'{WARNING}{warning.message}' for warning in caught if warning.category is UserWarning)
                yield Slice(name, key, index, grey, notes=notes or grey_notes(grey))
            except (MemoryError, Exception) as error:
                yield Problem(name, brief(error), key)


def grey_notes(grey: np.ndarray) -> tuple[str, ...]:
    """Warn if grey levels are not those of a slice in a lung window: blank, a mask, much too dark or bright."""
    low, high = grey.min(), grey.max()
    if low == high:
        return (f'{WARNING}all pixels are {low:g}: the slice shows nothing',)
    levels = len(np.unique(grey))
    if levels <= MASK_LEVELS:
        return (f'{WARNING}only {levels} grey levels: is it a mask?',)
    if low >= DARK:
        return (
            f'{WARNING}the darkest pixel is {low:g} of 255, but air is nearly black: is it windowed for the lungs, as the '
            'training slices are?',
        )
    if high < DARK:
        return (f'{WARNING}the brightest pixel is {high:g} of 255: is it windowed for the lungs, as the training slices are?',)
    return ()


def natural(name: str) -> str:
    """Sort key that places slice 10 after slice 9."""

    def number(match: re.Match) -> str:
        # Compare the number of digits first, so that numbers of any size compare without conversion.
        digits = match[0].lstrip('0')
        return f'\x01{chr(len(digits))}{digits}'

    # One string, not a list of parts, because all keys of a large folder are in memory during sorting.
    return f'{re.sub(r"[0-9]+", number, name.lower())}\0{name}'
