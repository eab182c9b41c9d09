"""Scans whose slices are the image files of a folder, or arrays in memory."""

import re
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mmaffinity.utils.decoding import array_to_color, array_to_grey, decode_color, decode_slice

from .items import MAX_SLICE_PIXELS, ReadOptions, Scan, ScanInfo, check_side
from .notes import WARNING
from .opening import file_key, printable, read_regular
from .windowing import TRAINING_WINDOW

MASK_LEVELS = 4  # most grey levels of a mask; slices have over a hundred
DARK = 128  # the brightest pixel of real slices was at least 249


class _GreyScan(Scan):
    """Slices stored as grey levels, which are assumed to be in the training window, or colour images."""

    def __init__(self, info: ScanInfo, options: ReadOptions) -> None:
        super().__init__(info, options)
        self.window = TRAINING_WINDOW

    @abstractmethod
    def _decode(self, index: int) -> np.ndarray:
        """Read a slice: its grey levels, shape (H, W), or with ``options.color`` BGR, shape (H, W, 3)."""

    def _pixels(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Exception, Sequence[str]]]:
        for index in wanted:
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter('always')
                    image = self._decode(index)
                check_side(*image.shape[:2])
                notes = tuple(f'{WARNING}{warning.message}' for warning in caught if warning.category is UserWarning)
                yield index, image, notes if notes or self.options.color else grey_notes(image)
            except (MemoryError, Exception) as error:
                yield index, error, ()

    def _grey(self, values: np.ndarray) -> tuple[np.ndarray, Sequence[str]]:
        return (values if values.ndim == 2 else cv2.cvtColor(values, cv2.COLOR_BGR2GRAY)), ()


class ImageScan(_GreyScan):
    """PNG, JPEG, TIFF, BMP, WebP, PBM, PGM and PPM files, 8 and 16 bit, in the natural order of their names.

    Args:
        folder: their folder.
        names: names of the files.
        name: name of the scan.
        options: ``max_value`` is used for 16-bit files.
    """

    def __init__(self, folder: Path, names: Sequence[str], name: str, options: ReadOptions) -> None:
        notes = ['images have no spacing: areas are in pixels, volumes are unknown']
        if not options.color:
            notes.append('grey levels are used as stored: a lung window is assumed')
        super().__init__(ScanInfo(name, printable(folder), 'images', len(names), notes=notes), options)
        self.folder = folder
        self.names = sorted(names, key=natural)
        self._keys: list[str] = []

    def _key(self, name: str) -> str:
        try:
            return f'{printable(name)}|{file_key(self.folder / name)}'
        except OSError:  # removed after listing; reading it reports this
            return f'{printable(name)}|gone'

    def keys(self) -> Sequence[str]:
        # Computed once: a file that changes during the run would otherwise have two keys, and neither in the results.
        if not self._keys:
            self._keys = [self._key(name) for name in self.names]
        return self._keys

    def slice_name(self, index: int) -> str:
        return f'{self.info.name}/{printable(self.names[index])}'

    def _decode(self, index: int) -> np.ndarray:
        name = self.names[index]
        content = read_regular(self.folder / name)
        if self.options.color:
            image = decode_color(content, MAX_SLICE_PIXELS)
        else:
            image = decode_slice(content, self.options.max_value, MAX_SLICE_PIXELS)
        if self._key(name) != self.keys()[index]:
            raise ValueError('changed during the run: use --resume to predict its current content')
        return image


class ArrayScan(_GreyScan):
    """Slices in memory: (H, W) or colour (BGR), uint8, uint16, or float with 8-bit grey levels.

    Args:
        arrays: the slices.
        options: ``max_value`` is used for uint16.
        first: number of the first slice, if arrays were passed before.
    """

    def __init__(self, arrays: Sequence[np.ndarray], options: ReadOptions, first: int = 0) -> None:
        super().__init__(ScanInfo('arrays', 'memory', 'images', len(arrays)), options)
        self.arrays, self.first = arrays, first

    def keys(self) -> Sequence[str]:
        return [self.slice_name(index) for index in range(len(self.arrays))]

    def slice_name(self, index: int) -> str:
        return f'array#{self.first + index}'

    def _decode(self, index: int) -> np.ndarray:
        array = self.arrays[index]
        return array_to_color(array) if self.options.color else array_to_grey(array, self.options.max_value)


def grey_notes(grey: np.ndarray) -> tuple[str, ...]:
    """Return a warning if grey levels do not fit a slice in a lung window: blank, a mask, much too dark or too bright."""
    low, high = grey.min(), grey.max()
    if low == high:
        return (f'{WARNING}all pixels are {low:g}: the slice is blank',)
    levels = len(np.unique(grey))
    if levels <= MASK_LEVELS:
        return (f'{WARNING}only {levels} grey levels: is it a mask?',)
    if low >= DARK:
        return (
            f'{WARNING}the darkest pixel is {low:g} of 255, but air should be nearly black: was a lung window used, as for '
            'the training slices?',
        )
    if high < DARK:
        return (f'{WARNING}the brightest pixel is {high:g} of 255: was a lung window used, as for the training slices?',)
    return ()


def natural(name: str) -> str:
    """Return a sort key that places slice 10 after slice 9."""

    def number(match: re.Match) -> str:
        # Comparing the number of digits first orders numbers of any size without converting them.
        digits = match[0].lstrip('0')
        return f'\x01{chr(len(digits))}{digits}'

    # One string rather than a list of parts: sorting holds all keys of a large folder in memory.
    return f'{re.sub(r"[0-9]+", number, name.lower())}\0{name}'
