"""Identify the slices of a test run, so that runs on different lists are never compared."""

from pathlib import PurePath
from typing import Any, NamedTuple

from mmaffinity.datasets.phantom.writer import is_phantom
from mmaffinity.utils.nested_datasets import leaf_datasets
from mmaffinity.utils.provenance import fingerprint


class TestedLists(NamedTuple):
    """The lists of a test run.

    Attributes:
        roots: data roots, to which paths are relative.
        lists: by task, 'ann_files', 'num' (slices), 'sha256' (over their paths) and 'synthetic': whether any slice belongs to a
            phantom, as shown by the marker file that its writer creates.
    """

    roots: list[str]
    lists: dict[str, dict]

    def relative(self, path: str) -> str:
        """Return the path of a slice relative to its data root, with forward slashes."""
        pure = PurePath(path)
        for root in self.roots:
            if root and pure.is_relative_to(root):
                return pure.relative_to(root).as_posix()
        return pure.as_posix()


def find_tested_lists(dataset: Any) -> TestedLists:
    """Collect the lists of a data set, or of all parts of a concatenation."""
    parts = list(leaf_datasets(dataset))
    # The longest root first, in case roots are nested.
    roots = sorted({str(part.data_root) for part in parts if part.data_root}, key=len, reverse=True)
    lists = TestedLists(roots, {})
    paths: dict[str, list] = {}
    for part in parts:
        entry = lists.lists.setdefault(part.task, dict(ann_files=[], synthetic=False))
        entry['synthetic'] |= is_phantom(part.data_root)
        # A data set that lists folders has no annotation file.
        entry['ann_files'].append(lists.relative(str(part.ann_file or getattr(part, 'source', type(part).__name__))))
        paths.setdefault(part.task, []).extend(
            lists.relative(part.get_data_info(index)['img_path']) for index in range(len(part))
        )
    for task, names in paths.items():
        lists.lists[task].update(num=len(names), sha256=fingerprint(names))
    return lists
