"""Write the page of a verification: findings with images, duplicates next to each other."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmaffinity.datasets.verification.report import VerificationReport
from mmaffinity.visualization.pages.run_page import findings_page
from mmaffinity.visualization.saving import write_atomically

from .run_pages import picture_of_file

MAX_PICTURED = 60  # cases with images per finding


def verification_page(report: VerificationReport, path: str | Path) -> Path:
    """Write the page of a verification.

    Args:
        report: the verification.
        path: the HTML file.
    """
    keys: dict[str, str] = {}
    pictures: dict[str, bytes] = {}
    findings = []
    for finding in report.findings:
        cases = []
        for number, item in enumerate(finding.items):
            shown = []
            for name, file in files_of(item, report.paths) if number < MAX_PICTURED else ():
                if file not in keys:
                    picture = picture_of_file(file)
                    keys[file] = str(len(keys))
                    if picture is not None:
                        pictures[keys[file]] = picture
                shown.append([name, keys[file]])
            cases.append(dict(item=item, pictures=shown))
        findings.append(dict(finding.as_dict(), items=None, cases=cases))
    content = dict(
        title='Verification of a data set',
        config=report.config,
        passed=report.passed,
        findings=findings,
        sentences=report.sentences(),
        datasets=list(report.datasets),
    )
    return write_atomically(path, b''.join(findings_page(content, pictures)))


def files_of(item: Any, paths: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the name and file of each slice in a case of a finding, in any of the forms that checks use.

    Args:
        item: a path, 'split: path', a list of them, or a dict of them by split, by class or as ``file``.
        paths: by split, the file of each relative path.
    """
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield from files_of(value, {key: paths[key]} if key in paths else paths)
    elif isinstance(item, (list, tuple)):
        for value in item:
            yield from files_of(value, paths)
    elif isinstance(item, str):
        split, _, name = item.partition(': ')
        places = {split: paths[split]} if split in paths and name else paths
        name = name if places is not paths else item
        for place, files in places.items():
            if name in files:
                yield f'{place}: {name}', files[name]
                return
