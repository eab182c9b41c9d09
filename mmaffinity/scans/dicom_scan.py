"""DICOM series: group and order their files, and report irregularities."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from .dicom_header import DicomHeader
from .dicom_pixels import read_hounsfield
from .dicom_stacks import keep_stacks_apart
from .geometry import (
    MAX_TILT,
    STEEPEST_STACK,
    radiological_view,
    slab_thickness,
    slice_spacing,
    spacing_notes,
    tilt_degrees,
)
from .image_scan import natural
from .items import Problem, ReadOptions, Scan, ScanInfo
from .mixed_series import Copies, take_apart
from .notes import WARNING, SliceNotes
from .opening import brief


class DicomScan(Scan):
    """A series, ordered from feet to head by slice position.

    Args:
        headers: headers of its slices.
        name: name of the scan.
        source: its folder or file.
        options: conversion of pixels to grey levels.
        identity: identity of the series, see :class:`Scan`; by default that of its first header.
    """

    def __init__(
        self, headers: Sequence[DicomHeader], name: str, source: str, options: ReadOptions, identity: str = ''
    ) -> None:
        first = headers[0]
        self._identity = identity or _identity(first)
        counted = SliceNotes()
        for header in headers:
            counted.add(header.name, header.notes)
        notes = counted.lines(len(headers))
        normal = first.normal
        if first.orientation is not None:
            self.view = radiological_view(first.orientation[3:], first.orientation[:3])
        self.headers, self.positions = _in_order(headers, normal, notes)
        self.slabs = slab_thickness(self.positions, first.thickness)
        first = self.headers[0]
        affine = None
        if None not in self.positions:
            notes += spacing_notes(self.positions)
        if first.corner is None and abs(first.tilt) > MAX_TILT:
            notes.append(
                f'gantry tilt: {abs(first.tilt):.1f} degrees according to the header; slices are predicted as stored, '
                'without correction'
            )
        if first.corner is not None:
            affine = self._affine(normal, notes)
        spacing = first.spacing and self.view.spacing(*first.spacing)
        super().__init__(
            ScanInfo(
                name=name,
                source=source,
                kind='dicom',
                num_slices=len(headers),
                spacing=spacing,
                slice_spacing=slice_spacing(self.positions) or (first.thickness if len(headers) == 1 else None),
                study_uid=first.study_uid or None,
                series_uid=first.series_uid or None,
                affine=None if affine is None else affine.tolist(),
                shape=(first.shape[1], first.shape[0], len(headers)),
                notes=notes,
            ),
            options,
        )

    def _affine(self, normal: np.ndarray, notes: list[str]) -> np.ndarray | None:
        """Return the NIfTI affine of voxel (column, row, slice), or None if no affine fits; note any tilt."""
        first, last = self.headers[0], self.headers[-1]
        number = len(self.headers)
        if number > 1 and slice_spacing(self.positions) is None:
            return None  # all at one position, possibly shifted sideways
        tilt = tilt_degrees(normal, first.corner, last.corner)
        axis = abs(np.degrees(np.arccos(min(1.0, normal[2]))))
        if tilt > STEEPEST_STACK:
            notes.append(
                f'{WARNING}the slices are side by side rather than stacked ({tilt:.0f} degrees between the stack axis '
                'and the slice normal): no volume mask is written'
            )
            return None
        if max(tilt, abs(first.tilt)) > MAX_TILT:
            notes.append(
                f'gantry tilt: {abs(first.tilt):.1f} degrees according to the header, {tilt:.1f} between the stack axis '
                'and the slice normal; slices are predicted as stored, without correction'
            )
        elif axis > MAX_TILT:
            notes.append(f'slices are rotated by {axis:.1f} degrees from the body axis')
        if first.orientation is None or first.spacing is None:
            return None
        step = normal * (first.thickness or 1.0)
        if number > 1:
            step = (np.asarray(last.corner) - np.asarray(first.corner)) / (number - 1)
            corners = np.asarray([header.corner for header in self.headers])
            regular = np.asarray(first.corner) + np.arange(number)[:, None] * step
            if np.abs(corners - regular).max() > 0.1 + 0.02 * np.linalg.norm(step):
                return None
        affine = np.eye(4)
        affine[:3, 0] = np.asarray(first.orientation[:3]) * first.spacing[1]
        affine[:3, 1] = np.asarray(first.orientation[3:]) * first.spacing[0]
        affine[:3, 2], affine[:3, 3] = step, first.corner
        affine[:2] *= -1  # NIfTI axes point right and anterior
        return affine + 0.0

    @property
    def identity(self) -> str:
        return self._identity

    def place(self, index: int) -> tuple[float | None, float | None]:
        return self.positions[index], self.slabs[index]

    def keys(self) -> Sequence[str]:
        return [header.key for header in self.headers]

    def slice_name(self, index: int) -> str:
        return self.headers[index].name

    def _pixels(self, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Exception, Sequence[str]]]:
        for index in wanted:
            try:
                values, notes = read_hounsfield(self.headers[index], self.options)
                yield index, self.view.from_stored(values), notes
            except (MemoryError, Exception) as error:
                yield index, error, ()


def group_series(
    headers: Sequence[DicomHeader], root_name: str, source: str, options: ReadOptions
) -> Iterator[DicomScan | Problem]:
    """Group files into series, and skip files that duplicate the image of another.

    A series is named by its folder and its own identifiers, even if it is the only one, so that a series added later does not
    rename existing ones, whatever the order of their files.
    """
    parts: dict[tuple, list[list[DicomHeader]]] = {}
    copies = Copies()
    uids: dict[tuple, int] = {}
    reported: set[tuple[Path, Path]] = set()
    for header in keep_stacks_apart(headers):
        # Broken anonymisers give all slices one identifier; a true copy also has the same position.
        uid = (*header.group, header.image or header.key)
        twin = copies.original((*uid, header.corner, header.location, header.number, header.subject), header)
        if twin is not None:
            if (header.path, twin.path) not in reported:  # once per file, not per frame
                reported.add((header.path, twin.path))
                yield Problem(
                    header.name,
                    f'contains the same image as {twin.name} (SOPInstanceUID {header.instance_uid})'
                    + (', as do all further frames of these files' if header.frame else ''),
                )
            continue
        uids[uid] = uids.get(uid, 0) + 1
        alike = parts.setdefault(header.group, [])
        for members in alike:
            if members[0].fits(header):
                members.append(header)
                break
        else:
            alike.append([header])
    found = [(key, members) for key, alike in parts.items() for members in alike]
    series = [key[:3] for key, _ in found]
    numbers: Counter[str] = Counter()
    for key, members in found:
        for part in take_apart(members):
            first = part.headers[0]
            identity = _identity(first) + part.mark
            numbers[identity] += 1
            again = '' if numbers[identity] == 1 else f'_{numbers[identity]}'
            name = f'{root_name}/series_{_mark(first, part.mark)}{again}'
            try:
                scan = DicomScan(part.headers, name, source, options, identity + again)
            except (MemoryError, Exception) as error:
                yield from (Problem(header.name, f'its series cannot be ordered: {brief(error)}') for header in part.headers)
                continue
            scan.info.notes += part.notes
            if series.count(key[:3]) > 1:
                scan.info.notes.append(
                    'its series also contains slices of another size, orientation, spacing or stack, from '
                    'another multi-frame file, or without a position; they were treated as separate scans'
                )
            if any(uids[(*key, header.image or header.key)] > 1 for header in part.headers):
                scan.info.notes.append(
                    f'{WARNING}several slices have the same SOPInstanceUID: all were kept; check how the series was anonymised'
                )
            yield scan


def _identity(header: DicomHeader, folder: str | None = None) -> str:
    """Return text that identifies a scan.

    Orientation and spacing are rounded coarsely: matching slices differ slightly, and the result must not depend on which of
    them comes first.
    """
    if folder is None:
        folder = str(header.path.parent)
    geometry = (
        header.shape,
        [round(value, 1) + 0.0 for value in header.orientation or ()],
        [round(value, 2) for value in header.spacing or ()],
        header.corner is None,
    )
    frames = f'|{header.frame.unit}|{header.stack}' if header.frame and (header.frame.unit or header.stack) else ''
    return f'dicom|{header.study_uid}|{header.series_uid or folder}|{geometry}{frames}'


def _mark(header: DicomHeader, part: str) -> str:
    """Return eight hexadecimal digits of a scan's identity, which do not change if the whole input is moved."""
    identity = _identity(header, header.name.rpartition('/')[0]) + part
    return hashlib.sha256(identity.encode()).hexdigest()[:8]


def _in_order(
    headers: Sequence[DicomHeader], normal: np.ndarray, notes: list[str]
) -> tuple[list[DicomHeader], list[float | None]]:
    """Order slices from feet to head; return them with their positions along the normal in mm, None if unknown."""

    def by_number(header: DicomHeader) -> tuple:
        return header.number or 0, natural(header.name)

    if all(header.corner is not None for header in headers):
        ordered = sorted(headers, key=lambda header: (float(np.dot(header.corner, normal)), *by_number(header)))
        return ordered, [float(np.dot(header.corner, normal)) for header in ordered]
    if all(header.location is not None for header in headers):
        notes.append('no ImagePositionPatient: ordered by SliceLocation')
        ordered = sorted(headers, key=lambda header: (header.location, *by_number(header)))
        return ordered, [header.location for header in ordered]
    numbers = {header.number for header in headers}
    known = None not in numbers and (len(numbers) > 1 or len(headers) == 1)
    by = 'file name' if not known else 'frame number' if headers[0].frame else 'InstanceNumber'
    notes.append(f'no slice positions: ordered by {by}, and volumes use the slice thickness of the header')
    ordered = sorted(headers, key=by_number if known else lambda header: natural(header.name))
    return ordered, [None] * len(ordered)
