"""Checks for files that are missing, damaged, or unlike the others of their data set."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mmaffinity.utils.decoding import far_below_white
from mmaffinity.utils.wording import first_few, plural

from .findings import Finding
from .image_facts import FileFacts
from .parts import ListedSlice, Part


def check_files(parts: Sequence[Part], facts: Mapping[str, FileFacts]) -> list[Finding]:
    """Check each data set's files.

    Args:
        parts: the data sets.
        facts: facts of every file, by the slice's path.
    """
    return [finding for part in parts for finding in _check_part(part, facts)]


def _check_part(part: Part, facts: Mapping[str, FileFacts]) -> Iterator[Finding]:
    missing = [listed.rel_path for listed in part.slices if facts[listed.path].missing]
    if missing:
        where = f' under {part.root}' if part.root else ''
        yield Finding(
            'missing-files',
            f'{plural(len(missing), "file")} of {part.name} {"is" if len(missing) == 1 else "are"} '
            f'not there{where} ({first_few(missing)}): copy {"it" if len(missing) == 1 else "them"} there, or edit '
            'the list',
            len(missing),
            missing,
        )
    corrupt = [listed for listed in part.slices if facts[listed.path].error and not facts[listed.path].missing]
    if corrupt:
        reasons = [f'{listed.rel_path} {facts[listed.path].error}' for listed in corrupt]
        yield Finding(
            'corrupt-files',
            f'{plural(len(corrupt), "file")} of {part.name} cannot be used ({first_few(reasons)})',
            len(corrupt),
            [dict(file=listed.rel_path, error=facts[listed.path].error) for listed in corrupt],
        )
    whole = [(listed, facts[listed.path]) for listed in part.slices if facts[listed.path].error is None]
    yield from _check_sizes(part, whole)
    yield from _check_levels(part, whole)


def _check_sizes(part: Part, whole: Sequence[tuple[ListedSlice, FileFacts]]) -> Iterator[Finding]:
    sizes = Counter((fact.width, fact.height) for _, fact in whole)
    if len(sizes) > 1:
        (width, height), _ = sizes.most_common(1)[0]
        others = [(listed, fact) for listed, fact in whole if (fact.width, fact.height) != (width, height)]
        names = [f'{listed.rel_path} is {fact.width} x {fact.height}' for listed, fact in others]
        yield Finding(
            'sizes',
            f'{plural(len(others), "slice")} of {part.name} {"is" if len(others) == 1 else "are"} not '
            f'{width} x {height} (width x height) like the other {plural(len(whole) - len(others), "slice")} '
            f'({first_few(names)}): they are resized differently',
            len(others),
            [dict(file=listed.rel_path, width=fact.width, height=fact.height) for listed, fact in others],
        )
    wrong = [(listed, fact) for listed, fact in whole if listed.size is not None and listed.size != (fact.width, fact.height)]
    if wrong:
        names = [
            f'{listed.rel_path} is {fact.width} x {fact.height}, annotated as {listed.size[0]} x {listed.size[1]}'
            for listed, fact in wrong
            if listed.size
        ]
        yield Finding(
            'annotated-sizes',
            f'{plural(len(wrong), "image", "is")} of another size than {part.name} says '
            f'(width x height: {first_few(names)}): correct width and height in the list, or restore the '
            'images that were annotated',
            len(wrong),
            [
                dict(file=listed.rel_path, file_size=[fact.width, fact.height], annotated=list(listed.size or ()))
                for listed, fact in wrong
            ],
        )
    outside = [
        (listed, fact)
        for listed, fact in whole
        if listed.body_box is not None and (listed.body_box[2] > (fact.width or 0) or listed.body_box[3] > (fact.height or 0))
    ]
    if outside:
        names = [
            f'{list(listed.body_box or ())} of {listed.rel_path}, which is {fact.width} x {fact.height}'
            for listed, fact in outside
        ]
        yield Finding(
            'body-boxes',
            f'{plural(len(outside), "body box", "is")} too large for the picture in {part.name} '
            f'({first_few(names)}): CropToBodyBox stops there; restore the images, or correct the list',
            len(outside),
            [
                dict(file=listed.rel_path, width=fact.width, height=fact.height, body_box=list(listed.body_box or ()))
                for listed, fact in outside
            ],
        )


def _check_levels(part: Part, whole: Sequence[tuple[ListedSlice, FileFacts]]) -> Iterator[Finding]:
    deep = [(listed, fact) for listed, fact in whole if fact.depth == 16]
    if deep and len(deep) < len(whole):
        few = deep if 2 * len(deep) <= len(whole) else [(listed, fact) for listed, fact in whole if fact.depth != 16]
        depth = few[0][1].depth
        names = [listed.rel_path for listed, _ in few]
        yield Finding(
            'bit-depths',
            f'{plural(len(few), "slice", "has")} {depth} bits in {part.name}, where '
            f'{plural(len(whole) - len(few), "other", "has")} {24 - depth} ({first_few(names)}): their grey levels '
            'mean something else unless they were windowed alike',
            len(few),
            [dict(file=name, depth=depth) for name in names],
        )
    white = 65535 if part.max_value is None else part.max_value
    dark = [(listed.rel_path, fact.high) for listed, fact in deep if far_below_white(fact.high, part.max_value)]
    if dark:
        names = [f'{name}: {high}' for name, high in dark]
        yield Finding(
            'bit-depths',
            f'{plural(len(dark), "16-bit slice", "is")} far below white ({white}) in {part.name} and '
            f'will be nearly black (brightest pixels: {first_few(names)}): set max_value in LoadCTSlice, --max-value '
            'of mmaffinity predict, to the pixel value that stands for white; for 12-bit content max_value=4095',
            len(dark),
            [dict(file=name, high=high) for name, high in dark],
        )
    bright = [(listed.rel_path, fact.high) for listed, fact in deep if fact.high > white]
    if bright:
        names = [f'{name}: {high}' for name, high in bright]
        yield Finding(
            'above-white',
            f'{plural(len(bright), "slice", "has")} a pixel above max_value={white} in {part.name} '
            f'({first_few(names)}): raise max_value in LoadCTSlice',
            len(bright),
            [dict(file=name, high=high) for name, high in bright],
        )
    blank = [(listed.rel_path, fact.low) for listed, fact in whole if fact.low == fact.high]
    if blank:
        names = [f'{name}: {level}' for name, level in blank]
        yield Finding(
            'blank-slices',
            f'{plural(len(blank), "slice", "is")} of one grey level in {part.name} '
            f'({first_few(names)}): {"it shows" if len(blank) == 1 else "they show"} nothing',
            len(blank),
            [dict(file=name, level=level) for name, level in blank],
        )
