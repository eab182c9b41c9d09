"""The result of a verification, as data and as text."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmaffinity import __version__
from mmaffinity.utils.files import write_json_atomic
from mmaffinity.utils.provenance import now
from mmaffinity.utils.wording import plural

from .counts import describe_in_words
from .findings import ALLOWED, FAILURE, WARNING, Finding

REPORT_SCHEMA = 1


@dataclass
class VerificationReport:
    """The verified data and the findings.

    Attributes:
        config: path of the config; None if it has none.
        datasets: a row per data set, see :func:`~.counts.describe`, with ``content_sha256`` and ``listing_sha256``.
        findings: the findings, failures first.
        reading: ``files``, ``read`` (the rest came from the cache), ``seconds``; None if files were not read.
        paths: file paths by split and relative path; not part of the written report.
    """

    config: str | None
    datasets: Sequence[dict[str, Any]]
    findings: Sequence[Finding]
    reading: dict[str, Any] | None
    paths: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, severity: str) -> list[Finding]:
        """Return the findings of a severity."""
        return [finding for finding in self.findings if finding.severity == severity]

    @property
    def passed(self) -> bool:
        """Whether there are no failures."""
        return not self.of(FAILURE)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, see docs/data.md."""
        return dict(
            schema=REPORT_SCHEMA,
            created=now(),
            version=__version__,
            config=self.config,
            passed=self.passed,
            reading=self.reading,
            datasets=list(self.datasets),
            findings=[finding.as_dict() for finding in self.findings],
        )

    def write(self, path: str | os.PathLike) -> None:
        """Write the report as JSON atomically."""
        write_json_atomic(path, self.as_dict())

    def sentences(self) -> list[str]:
        """Return the report as lines of text: data sets, findings and verdict."""
        lines = []
        for row in self.datasets:
            lines.append(describe_in_words(row))
            lines.append(
                f'  fingerprint of the files: {row["content_sha256"] or "none, because not all files were read"}; of the '
                f'listing: {row["listing_sha256"]}'
            )
        lines += [f'{finding.severity}: {finding.message} [{finding.check}]' for finding in self.findings]
        failures, warnings, allowed = (len(self.of(severity)) for severity in (FAILURE, WARNING, ALLOWED))
        accepted = f', {allowed} accepted with --allow' if allowed else ''
        verdict = (
            'no problems found'
            if self.passed and not warnings and not allowed
            else f'{plural(failures, "failure")}, {plural(warnings, "warning")}{accepted}'
        )
        lists_only = ' (lists only; no files were read)' if self.reading is None else ''
        lines.append(f'{"passed" if self.passed else "FAILED"}: {verdict}{lists_only}')
        return lines
