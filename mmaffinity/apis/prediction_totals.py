"""Write the files that cover all scans: report.json, slices.csv and lesions.json, also from the reports of shards."""

import csv
import hashlib
import io
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from mmaffinity.scans import Problem, Scan
from mmaffinity.scans.opening import brief
from mmaffinity.scans.output_folder import OutputFolder
from mmaffinity.scans.shards import Shard
from mmaffinity.scans.writers import write_coco_lists
from mmaffinity.utils.wording import first_few, plural
from mmaffinity.visualization.pages.scan_page import index_page

from .base_inferencer import MODEL_ENTRIES
from .prediction_report import PredictionReport, ScanResult

REPORT = 'report.json'
PAGE = 'index.html'
SHARD_REPORT = 'report.shard-{}.json'
_SHARD_NAME = re.compile(r'report\.shard-(\d+)-of-(\d+)\.json')
_ITEM = '  {'  # start of a line that holds one entry of a list, see writers.write_list


def write_report(out: OutputFolder, head: dict, report: PredictionReport, html: bool) -> None:
    """Write the files that cover all scans.

    Args:
        out: output folder with the results of each scan.
        head: fields of ``report.json`` before the scans: schema, model, settings, ...
        report: outcome for all inputs.
        html: whether to write ``index.html``, the list of all scans, to open in a browser.

    Raises:
        ValueError: if a file cannot be written, or nothing was predicted.
    """
    content = dict(
        head,
        scans=[asdict(scan) for scan in report.scans],
        not_predicted=_plain(report.problems),
        clutter=_plain(report.clutter),
    )
    try:
        _write_slices(out, report.scans)
        _write_lesions(out, report.scans, head['model']['lesion_classes'])
        _write_json(out, REPORT, content)
        if html:
            with out.write(PAGE) as file:
                file.writelines(index_page(content, [(out.root / scan.folder / PAGE).is_file() for scan in report.scans]))
    except OSError as error:
        raise ValueError(
            f'{out.root / REPORT} cannot be written: {brief(error)}; fix this, and continue with --resume'
        ) from error
    if not any(scan.num_predicted for scan in report.scans):
        reasons = '; '.join(str(problem) for problem in report.problems[:3])
        more = len(report.problems) - 3
        raise ValueError(
            f'nothing could be predicted: {reasons}'
            + (f'; and {more} more' if more > 0 else '')
            + f'. The reasons are also in {out.root / REPORT}'
        )


def _plain(problems: Iterable[Problem]) -> list[dict]:
    return [dict(source=item.source, reason=item.reason) for item in problems]


def _write_json(out: OutputFolder, name: str, content: dict) -> None:
    with out.write(name) as file:
        file.write(json.dumps(content, indent=1, allow_nan=False).encode('ascii') + b'\n')


def _write_slices(out: OutputFolder, scans: Sequence[ScanResult]) -> None:
    """Join the tables of the scans, with the scan's folder as the first column."""
    with out.write('slices.csv') as file:
        text = io.TextIOWrapper(file, encoding='utf-8', newline='')
        rows = csv.writer(text)
        for number, scan in enumerate(scans):
            with open(out.root / scan.folder / 'slices.csv', encoding='utf-8', newline='') as table:
                for index, row in enumerate(csv.reader(table)):
                    if index or not number:
                        rows.writerow([scan.folder if index else 'scan', *row])
        text.flush()
        text.detach()


def _write_lesions(out: OutputFolder, scans: Sequence[ScanResult], classes: Iterable[str]) -> None:
    """Join the COCO files of the scans, line by line, with new ids for images and annotations."""
    firsts, num_images = [], 0
    for scan in scans:
        firsts.append(num_images)
        num_images += scan.num_slices  # image ids of a scan are slice numbers

    def entries(section: str) -> Iterator[dict]:
        for scan, first in zip(scans, firsts):
            for entry in _entries(out.root / scan.folder / 'lesions.json', section):
                yield (
                    {**entry, 'id': entry['id'] + first, 'scan': scan.folder}
                    if section == 'images'
                    else {**entry, 'image_id': entry['image_id'] + first}
                )

    annotations = ({**entry, 'id': number} for number, entry in enumerate(entries('annotations'), 1))
    with out.write('lesions.json') as file:
        write_coco_lists(file, classes, entries('images'), annotations)


def _entries(path: Path, section: str) -> Iterator[dict]:
    inside = False
    with open(path, encoding='ascii') as file:
        for line in file:
            if inside and not line.startswith(_ITEM):
                return
            if inside:
                yield json.loads(line.rstrip().rstrip(','))
            inside = inside or line.startswith(f' "{section}": [')


def write_shard_report(
    out: OutputFolder,
    shard: Shard,
    scans: Sequence[Scan],
    head: dict,
    parts: Mapping[int, PredictionReport],
    clutter: Iterable[Problem],
) -> None:
    """Write the outcome of one shard, from which :func:`merge_shards` builds the full report.

    Args:
        out: output folder of the shards.
        shard: the shard.
        scans: all scans that were found, including those of other shards.
        head: as for :func:`write_report`.
        parts: outcome for each scan of the shard, by its position among ``scans``; -1 for inputs that belong to no scan.
        clutter: accompanying files without slices.
    """
    names = '\n'.join(scan.identity for scan in scans)
    found = dict(
        index=shard.index,
        num=shard.num,
        num_scans=len(scans),
        scans_sha256=hashlib.sha256(names.encode('utf-8', 'backslashreplace')).hexdigest(),
    )
    plain = [
        dict(
            place=place,
            scans=[asdict(scan) for scan in part.scans],
            not_predicted=[dict(source=item.source, reason=item.reason, failed=item.failed) for item in part.problems],
        )
        for place, part in parts.items()
    ]
    _write_json(out, SHARD_REPORT.format(shard), dict(head, shard=found, parts=plain, clutter=_plain(clutter)))


def remove_reports(out: OutputFolder, shard: Shard | None) -> None:
    """Remove the shard reports that a new run makes obsolete: its own, and those of another division into shards."""
    for path, index, num in _shard_files(out.root):
        if shard is None or num != shard.num or index == shard.index:
            path.unlink(missing_ok=True)


def _shard_files(root: Path) -> list[tuple[Path, int, int]]:
    found = [(path, _SHARD_NAME.fullmatch(path.name)) for path in sorted(root.glob(SHARD_REPORT.format('*')))]
    return [(path, int(match[1]), int(match[2])) for path, match in found if match]


def merge_shards(out: str | Path) -> PredictionReport:
    """Write the files that cover all scans from the results of shards: byte for byte those of one process, except ``created``.

    Args:
        out: output folder of the shards.

    Returns:
        The outcome for all inputs.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if a shard has not finished, or shards found different scans or had other settings.
    """
    if not Path(out).is_dir():
        raise FileNotFoundError(f'the folder {out} does not exist: --merge needs the --out of finished shards')
    folder = OutputFolder(out)
    with folder.lock():
        contents = _read_shards(folder.root)
        first = contents[0]
        report = PredictionReport(clutter=[Problem(**item, clutter=True) for item in first['clutter']])
        for part in sorted((part for content in contents for part in content['parts']), key=lambda part: part['place']):
            report.scans += [ScanResult(**scan) for scan in part['scans']]
            report.problems += [Problem(**item) for item in part['not_predicted']]
        head = {key: value for key, value in first.items() if key not in ('shard', 'parts', 'clutter')}
        write_report(folder, head, report, any((folder.root / scan.folder / PAGE).is_file() for scan in report.scans))
    return report


def _read_shards(root: Path) -> list[dict]:
    files = _shard_files(root)
    if not files:
        raise ValueError(
            f'{root} contains no shard report ({SHARD_REPORT.format("I-of-N")}): run mmaffinity predict with --num-shards '
            'first, and resume any shard that was stopped before it could write its report'
        )
    num = files[0][2]
    missing = sorted(set(range(num)) - {index for _, index, _ in files})
    if missing:
        raise ValueError(
            f'{plural(len(missing), "shard")} of {num} did not finish ({first_few(list(map(str, missing)))}): run '
            f'{"it" if len(missing) == 1 else "them"} again with --num-shards {num} --shard I --resume'
        )
    contents = []
    for path, _, _ in files:
        try:
            contents.append(json.loads(path.read_text(encoding='ascii')))
        except ValueError as error:
            raise ValueError(f'{path} is damaged ({error}): run this shard again with --resume') from error
    first = contents[0]
    for (path, _, _), content in zip(files, contents):
        for what, key_of in (
            ('scans', lambda item: (item['shard']['num_scans'], item['shard']['scans_sha256'])),
            ('model', lambda item: [item['model'].get(key) for key in MODEL_ENTRIES]),
            ('settings', lambda item: item['settings']),
        ):
            if key_of(content) != key_of(first):
                raise ValueError(
                    f'{path} and {files[0][0].name} have different {what}: run all shards with the same input and '
                    'options, and with --resume if scans were added'
                )
        if content['versions'] != first['versions']:
            warnings.warn(
                f'{path.name} was computed with other package versions than {files[0][0].name}: results may differ by '
                'rounding from those of a single process',
                stacklevel=3,
            )
    return contents
