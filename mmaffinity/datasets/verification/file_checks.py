"""Checks for files that are missing, damaged, or unlike the rest of their data set."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmaffinity.utils.decoding import far_below_white

from .findings import Finding, findings_of
from .image_facts import FileFacts
from .parts import ListedSlice, Part

Read = Sequence[tuple[ListedSlice, FileFacts]]


def check_files(parts: Sequence[Part], facts: Mapping[str, FileFacts]) -> list[Finding]:
    """Check each data set's files.

    Args:
        parts: the data sets.
        facts: facts of every file, by the slice's path.
    """
    findings: list[Finding] = []
    for part in parts:
        read = [(listed, facts[listed.path]) for listed in part.slices]
        missing = [(listed.rel_path, listed.rel_path) for listed, fact in read if fact.missing]
        broken = [
            (f'{listed.rel_path} {fact.error}', dict(file=listed.rel_path, error=fact.error))
            for listed, fact in read
            if fact.error and not fact.missing
        ]
        where = f' under {part.root}' if part.root else ''
        findings += findings_of(
            'missing-files', missing, 'file', 'is', f'missing from {part.name}{where}', ': copy them there, or edit the list'
        )
        findings += findings_of(
            'corrupt-files',
            broken,
            'file',
            '',
            f'of {part.name} cannot be used',
            ': replace them, or remove them from the list',
        )
        whole = [(listed, fact) for listed, fact in read if fact.error is None]
        findings += [*_check_sizes(part, whole), *_check_levels(part, whole)]
    return findings


def _check_sizes(part: Part, whole: Read) -> Iterator[Finding]:
    sizes = Counter((fact.width, fact.height) for _, fact in whole)
    usual = sizes.most_common(1)[0][0] if sizes else (0, 0)
    others = [
        (f'{listed.rel_path} is {_times(fact)}', dict(file=listed.rel_path, width=fact.width, height=fact.height))
        for listed, fact in whole
        if (fact.width, fact.height) != usual
    ]
    yield from findings_of(
        'sizes',
        others,
        'slice',
        'has',
        f'a size other than {usual[0]} x {usual[1]} (width x height), the most common in {part.name}',
        ' and will be resized differently',
    )
    wrong = [
        (
            f'{listed.rel_path} is {_times(fact)}, annotated as {listed.size[0]} x {listed.size[1]}',
            dict(file=listed.rel_path, file_size=[fact.width, fact.height], annotated=list(listed.size)),
        )
        for listed, fact in whole
        if listed.size is not None and listed.size != (fact.width, fact.height)
    ]
    yield from findings_of(
        'annotated-sizes',
        wrong,
        'image',
        'does',
        f'not have the width and height given in {part.name}',
        ': correct the list, or restore the annotated images',
    )
    outside = [
        (
            f'{list(listed.body_box)} of {listed.rel_path}, which is {_times(fact)}',
            dict(file=listed.rel_path, width=fact.width, height=fact.height, body_box=list(listed.body_box)),
        )
        for listed, fact in whole
        if listed.body_box is not None and (listed.body_box[2] > fact.width or listed.body_box[3] > fact.height)
    ]
    yield from findings_of(
        'body-boxes',
        outside,
        'body box',
        'is',
        f'partly outside the image in {part.name}',
        ': CropToBodyBox would fail; restore the images, or correct the list',
    )


def _check_levels(part: Part, whole: Read) -> Iterator[Finding]:
    by_depth = {depth: [(listed, fact) for listed, fact in whole if fact.depth == depth] for depth in (16, 8)}
    few, many = sorted(by_depth.values(), key=len)
    mixed = [(listed.rel_path, dict(file=listed.rel_path, depth=fact.depth)) for listed, fact in few]
    yield from findings_of(
        'bit-depths',
        mixed,
        'slice',
        'has',
        f'{few[0][1].depth if few else 0} bits in {part.name}, where {len(many)} have {many[0][1].depth if many else 0}',
        ': their grey levels are not comparable unless both were windowed alike',
    )
    white = 65535 if part.max_value is None else part.max_value
    peaks = [
        (f'{listed.rel_path}: {fact.high}', dict(file=listed.rel_path, high=fact.high), fact.high)
        for listed, fact in by_depth[16]
    ]
    yield from findings_of(
        'bit-depths',
        [(words, item) for words, item, high in peaks if far_below_white(high, part.max_value)],
        '16-bit slice',
        'is',
        f'far below white ({white}) in {part.name} and will be nearly black; brightest pixels',
        ': set max_value of LoadCTSlice (--max-value of mmaffinity predict) to the pixel value of white; for 12-bit '
        'content, max_value=4095',
    )
    yield from findings_of(
        'above-white',
        [(words, item) for words, item, high in peaks if high > white],
        'slice',
        'has',
        f'a pixel above max_value={white} in {part.name}',
        ': increase max_value of LoadCTSlice',
    )
    blank = [
        (f'{listed.rel_path}: {fact.low}', dict(file=listed.rel_path, level=fact.low))
        for listed, fact in whole
        if fact.low == fact.high
    ]
    yield from findings_of(
        'blank-slices', blank, 'slice', 'has', f'a single grey level in {part.name}', ': replace them, or edit the list'
    )


def _times(fact: FileFacts) -> str:
    return f'{fact.width} x {fact.height}'
