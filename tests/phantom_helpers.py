"""Small phantoms, and their files."""

import hashlib
from pathlib import Path

from mmaffinity.datasets.phantom.plan import LISTS

# The fewest slices with which every list of both hospitals contains each class.
FEW = dict(
    lesions_train=1,
    lesions_test=1,
    slices_train=3,
    slices_selected=3,
    slices_val=3,
    slices_test=3,
    ictcf_train=2,
    ictcf_test=2,
)
# A few slices of several patients in each list.
SMALL = dict(
    seed=3,
    size=96,
    slices_per_patient=3,
    lesions_train=12,
    lesions_test=7,
    slices_train=20,
    slices_selected=12,
    slices_val=6,
    slices_test=9,
    ictcf_train=7,
    ictcf_test=8,
)


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*'))
        if path.is_file()
    }


def rows(folder: Path, split: str) -> list[str]:
    """The rows of a list."""
    text = (folder / LISTS[split]).read_text()
    assert text.endswith('\n') and not text.endswith('\n\n')
    return text.splitlines()
