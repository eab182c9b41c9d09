"""Slices with annotated lesions, for the segmentation task."""

import logging
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import mmaffinity.framework  # noqa: F401  (first: MMDetection with operations in torch)

# isort: split
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.logging import print_log

from mmaffinity.structures import SEGMENTATION
from mmaffinity.utils.garbage import collection_paused
from mmaffinity.utils.wording import first_few

from .annotation_file import LESIONS, image_prefix, load_annotation_file, portable_name
from .coco_checks import is_used, read_annotation, read_image, read_reference
from .listed_dataset import ListedDataset

_IMAGE_KEYS = ('id', 'file_name', 'width', 'height')
_ANNOTATION_KEYS = ('id', 'image_id', 'category_id')


@DATASETS.register_module()
class LesionDataset(ListedDataset, CocoDataset):
    """Lesion slices from a COCO file, with the patient and scan of each slice if the file has them.

    Differences from MMDetection's class:

    * The file's categories must be the classes, in any order, except for a category without annotations that is only the
      supercategory of others, as in Roboflow files. In MMDetection, a class missing from the file silently has no annotations,
      and labels are swapped if the classes are in another order than in the file.
    * The area is always that of the mask. A box that is absent, thinner than a pixel or far from the mask is replaced by the
      mask's.
    * Omitted lesions are logged. A slice whose lesions are all omitted or flagged as crowd counts as a slice without lesions.

    Sample entries in addition to MMDetection's: ``task`` ('segmentation'), ``patient_id`` and ``scan_id`` (None if unknown),
    and, for error messages, ``ann_file`` and ``row`` (index in the file's ``images``).

    Args:
        ann_file: COCO JSON, relative to ``data_root``.
        data_prefix: ``img``: folder to which the file's image names are relative, itself relative to ``data_root``.
        filter_cfg: ``filter_empty_gt=True`` drops slices without lesions, ``min_size`` those whose shorter side has fewer
            pixels; neither applies in test mode.
        **kwargs: as for :class:`mmdet.datasets.BaseDetDataset`, and ``folds``, ``fold``, ``fold_lists`` and ``on_unreadable``
            of :class:`ListedDataset`.

    Raises:
        FileNotFoundError: if the annotation file is missing.
        ValueError: if it is invalid, its categories are not the classes, or no slices remain.
    """

    METAINFO = {'classes': ('lesion',), 'palette': [(220, 20, 60)]}
    task = SEGMENTATION
    list_kind = LESIONS

    def __init__(
        self,
        ann_file: str = '',
        data_prefix: dict = dict(img=''),  # noqa: B006, as in BaseDataset, which copies it
        filter_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file=ann_file, data_prefix=image_prefix(data_prefix, 'img'), filter_cfg=filter_cfg, **kwargs)

    def check_classes(self) -> None:
        """Check that the file's categories are the classes.

        Raises:
            ValueError: if they are not, or the file is not a COCO file.
        """
        content = self._load_content()
        self._index_categories(content['categories'], content['annotations'])

    @collection_paused()
    def load_data_list(self) -> list[dict]:
        """Read the annotation file and, with ``folds``, select the slices of this data set."""
        content = self._load_content()
        if left_out := self._index_categories(content['categories'], content['annotations']):
            self._log(
                f'{self.ann_file}: the categories {left_out} are left out, because they have no annotations and are only '
                'supercategories of others'
            )
        images = self._read_images(content['images'])
        annotations = self._group_annotations(content['annotations'], {image['id']: image for image in images})
        data_list = [
            self.parse_data_info(
                {'raw_img_info': {**image, 'img_id': image['id'], 'row': row}, 'raw_ann_info': annotations[image['id']]}
            )
            for row, image in enumerate(images)
        ]
        return self._folds.select(data_list, self.ann_file, bool(self.test_mode)) if self._folds else data_list

    def parse_data_info(self, raw_data_info: dict) -> dict[str, Any]:
        """Parse one slice whose annotations :func:`~.coco_checks.read_annotation` has validated."""
        data_info = super().parse_data_info(raw_data_info)
        image = raw_data_info['raw_img_info']
        data_info.update(
            task=self.task,
            patient_id=image.get('patient_id'),
            scan_id=image.get('scan_id'),
            ann_file=self.ann_file,
            row=image['row'],
        )
        return data_info

    def filter_data(self) -> list[dict]:
        """Apply ``filter_cfg``, except in test mode."""
        kept = self.data_list
        if not self.test_mode and self.filter_cfg:
            if self.filter_cfg.get('filter_empty_gt', False):
                kept = [info for info in kept if any(not lesion['ignore_flag'] for lesion in info['instances'])]
            min_size = self.filter_cfg.get('min_size', 0)
            kept = [info for info in kept if min(info['width'], info['height']) >= min_size]
        if not kept:
            raise ValueError(
                f'no slices of {self.ann_file} remain: {len(self.data_list)} before filtering, '
                f'{sum(bool(info["instances"]) for info in self.data_list)} of them with lesions, '
                f'filter_cfg={self.filter_cfg}: relax filter_cfg, or check the file'
            )
        return kept

    def _load_content(self) -> dict[str, Any]:
        content = load_annotation_file(self.ann_file, self.data_root, LESIONS)
        for key in ('images', 'annotations', 'categories'):
            if not isinstance(content.get(key), list) or not all(isinstance(entry, dict) for entry in content[key]):
                raise ValueError(f'{self.ann_file} has no list "{key}" of objects: it is not a COCO file')
        return content

    def _index_categories(self, categories: list[dict], annotations: list[dict]) -> tuple[str, ...]:
        """Map each category to the label of the class with the same name; return the names of omitted categories."""
        for row, category in enumerate(categories):
            category['id'] = self._read(f'categories[{row}]', read_reference, category.get('id'), 'id')
        if len({category['id'] for category in categories}) != len(categories):
            raise ValueError(f'two categories of {self.ann_file} share an id: {[category["id"] for category in categories]}')
        classes = [str(name) for name in self.metainfo['classes']]
        kept = categories
        if not _same_names(kept, classes):
            used = [annotation.get('category_id') for annotation in annotations]
            kept = [
                category for category in categories if category['id'] in used or not _is_supercategory(category, categories)
            ]
        if not _same_names(kept, classes):
            names = [str(category.get('name')) for category in kept]
            raise ValueError(
                f'{self.ann_file} has the categories {tuple(names)}, but the data set is configured for the '
                f'classes {tuple(classes)}: set lesion_classes={names} in the config (or metainfo=dict(classes=...) in this '
                f"data set), and num_classes={len(names)} in the model's bbox_head and mask_head; or rename the file's "
                'categories'
            )
        self.cat2label = {category['id']: classes.index(str(category['name'])) for category in kept}
        self.cat_ids = list(self.cat2label)
        return tuple(str(category.get('name')) for category in categories if category['id'] not in self.cat2label)

    def _read_images(self, entries: list[dict]) -> list[dict]:
        images, ids = [], set()
        for row, entry in enumerate(entries):
            self._require_keys(entry, _IMAGE_KEYS, f'images[{row}]')
            image = self._read(f'images[{row}]', read_image, entry)
            image['file_name'] = self._read(f'images[{row}]', portable_name, image['file_name'], self.data_prefix['img'])
            if image['id'] in ids:
                raise ValueError(f'images[{row}] of {self.ann_file} repeats the id {image["id"]!r}')
            ids.add(image['id'])
            images.append(image)
        return images

    def _group_annotations(self, entries: list[dict], images: dict[Any, dict]) -> dict[Any, list[dict]]:
        """Return the annotations by image, and log those that differ from the file."""
        by_image: dict[Any, list[dict]] = defaultdict(list)
        annotation_ids = set()
        changed, left_out = [], []
        for row, entry in enumerate(entries):
            place = f'annotations[{row}]'
            self._require_keys(entry, _ANNOTATION_KEYS, place)
            ids = {key: self._read(place, read_reference, entry[key], key) for key in _ANNOTATION_KEYS}
            for key, known in (('image_id', images), ('category_id', self.cat2label)):
                if ids[key] not in known:
                    raise ValueError(f'{place} of {self.ann_file} refers to the unknown {key} {ids[key]!r}')
            if ids['id'] in annotation_ids:
                raise ValueError(f'{place} of {self.ann_file} repeats the id {ids["id"]!r}')
            annotation_ids.add(ids['id'])
            annotation = self._read(place, read_annotation, {**entry, **ids}, images[ids['image_id']])
            if not is_used(annotation, images[ids['image_id']]):
                left_out.append(place)
                continue
            if annotation['bbox'] != entry.get('bbox'):
                changed.append(place)
            by_image[ids['image_id']].append(annotation)
        if changed:
            self._log(
                f'{self.ann_file}: boxes that are absent, thinner than a pixel, or far from their mask (expected: x, y, '
                f'width, height, not two corners) were replaced by those of the masks: {len(changed)} of {len(entries)} '
                f'({first_few(changed)})'
            )
        if left_out:
            self._log(
                f'{self.ann_file}: lesions outside their slice, with zero area or flagged "ignore" are left out: '
                f'{len(left_out)} of {len(entries)} ({first_few(left_out)})'
            )
        return by_image

    def _log(self, message: str) -> None:
        print_log(message, logger='current', level=logging.WARNING)

    def _read(self, place: str, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except ValueError as error:
            raise ValueError(f'{place} of {self.ann_file} {error}; correct the file, or export it again') from error

    def _require_keys(self, entry: dict, keys: tuple[str, ...], name: str) -> None:
        missing = [key for key in keys if key not in entry]
        if missing:
            raise ValueError(f'{name} of {self.ann_file} lacks {", ".join(missing)}; correct the file, or export it again')


def _same_names(categories: list[dict], classes: list[str]) -> bool:
    return sorted(str(category.get('name')) for category in categories) == sorted(classes)


def _is_supercategory(category: dict, categories: list[dict]) -> bool:
    name = category.get('name')
    return name is not None and any(other is not category and other.get('supercategory') == name for other in categories)
