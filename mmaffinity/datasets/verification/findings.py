"""The findings of a verification, and their messages."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmaffinity.utils.wording import first_few, plural

FAILURE, WARNING, ALLOWED = 'failure', 'warning', 'allowed'
MAX_ITEMS = 1000  # items per finding in the report; the message has the full count

# Every check by name, with the severity of its findings and what it finds. docs/data.md has the same table.
CHECKS = {
    'unreadable-lists': (FAILURE, 'a data set of the config cannot be loaded'),
    'unused-files': (WARNING, 'files or folders that a class-folder data set does not use'),
    'shared-patients': (FAILURE, 'a patient in two splits'),
    'shared-scans': (FAILURE, 'a scan in two splits'),
    'shared-slices': (FAILURE, 'a file in two splits'),
    'identical-slices': (FAILURE, 'two files with identical pixels in two splits'),
    'near-identical-slices': (WARNING, 'two near-identical files in two splits'),
    'unknown-patients': (WARNING, 'slices whose patient is unknown, or lists whose patients cannot be compared'),
    'repeated-slices': (WARNING, 'the same pixels twice in one split'),
    'conflicting-labels': (FAILURE, 'the same pixels with two labels'),
    'missing-files': (FAILURE, 'a listed file that does not exist'),
    'corrupt-files': (FAILURE, 'a file that cannot be read as a slice'),
    'sizes': (WARNING, 'slices that differ in size from most'),
    'bit-depths': (WARNING, '8-bit and 16-bit slices mixed, or 16-bit slices far below white'),
    'above-white': (FAILURE, 'a pixel above the max_value that the config sets'),
    'blank-slices': (WARNING, 'a slice with a single grey level'),
    'annotated-sizes': (FAILURE, 'width and height in the lesion file differ from the image'),
    'body-boxes': (WARNING, 'a body box that extends beyond its slice'),
    'lesions-outside': (FAILURE, 'a lesion that extends beyond its slice'),
    'broken-annotations': (FAILURE, 'a lesion without area, or whose mask cannot be decoded'),
    'boxes-and-masks': (WARNING, 'a lesion whose box or area does not match its mask'),
    'mask-values': (FAILURE, 'a raw mask with values other than 0 to 3'),
    'mask-files': (FAILURE, 'a raw mask that cannot be read, or differs in size from its image'),
    'mask-without-image': (WARNING, 'a raw mask without an image'),
    'image-without-mask': (WARNING, 'a raw lesion image without a mask; a failure if it is in a list'),
    'class-counts': (WARNING, 'a class without slices, or a lesion class without lesions'),
}


@dataclass
class Finding:
    """A problem or possible problem.

    Attributes:
        check: name of the check, a key of :data:`CHECKS`.
        message: number of cases, first examples, and the fix.
        items: the cases as plain data, at most :data:`MAX_ITEMS`.
        count: number of cases; by default that of ``items``.
        severity: 'failure', 'warning', or 'allowed' (accepted by the user); by default that of the check.
    """

    check: str
    message: str
    items: Sequence[Any] = field(default_factory=list)
    count: int = 0
    severity: str = ''

    def __post_init__(self) -> None:
        self.severity = self.severity or CHECKS[self.check][0]
        self.count = self.count or len(self.items)
        self.items = list(self.items[:MAX_ITEMS])

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return dict(check=self.check, severity=self.severity, count=self.count, message=self.message, items=self.items)


def findings_of(
    check: str,
    cases: Sequence[tuple[str, Any]],
    noun: str,
    verb: str,
    problem: str,
    remedy: str = '',
    severity: str = '',
) -> list[Finding]:
    """Summarise the cases of a check in one finding, 'NUMBER NOUN VERB PROBLEM (EXAMPLES)REMEDY', or none without cases.

    Args:
        check: name of the check.
        cases: each case in words and as plain data.
        noun, verb: what is counted, see :func:`~mmaffinity.utils.wording.plural`.
        problem: what is wrong.
        remedy: consequence and fix, with leading punctuation.
        severity: by default that of the check.
    """
    if not cases:
        return []
    message = f'{plural(len(cases), noun, verb)} {problem} ({first_few([words for words, _ in cases])}){remedy}'
    return [Finding(check, message, [item for _, item in cases], severity=severity)]


def apply_allowances(findings: Iterable[Finding], allow: Collection[str] = (), strict: bool = False) -> list[Finding]:
    """Change findings of allowed checks to 'allowed' and, with ``strict``, all other findings to failures.

    Raises:
        ValueError: if a name in ``allow`` is not a check.
    """
    unknown = sorted(set(allow) - CHECKS.keys())
    if unknown:
        raise ValueError(f'cannot allow the unknown check {unknown[0]!r}; choose from {", ".join(CHECKS)}')
    found = list(findings)
    for finding in found:
        if finding.check in allow:
            finding.severity = ALLOWED
        elif strict:
            finding.severity = FAILURE
    return found
