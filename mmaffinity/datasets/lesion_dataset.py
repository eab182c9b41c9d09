"""Slices with annotated lesions, for the segmentation task."""
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS

from mmaffinity.structures import SEGMENTATION

from .annotation_file import LESIONS, check_annotation_file, collection_paused, image_prefix, load_annotation_file
from .coco_checks import check_annotation, check_image, check_reference
from .unreadable import UnreadablePolicy

_IMAGE_KEYS = ('id', 'file_name', 'width', 'height')
_ANNOTATION_KEYS = ('id', 'image_id', 'category_id', 'bbox', 'area')


@DATASETS.register_module()
class LesionDataset(UnreadablePolicy, CocoDataset):
    """COCO annotations of lesions, with patient and scan of each slice where the file has them.

    Differences from MMDetection's class: the file's categories must be the classes, in this order (there, a class that
    the file lacks silently leaves no annotation, and classes in another order than the file's swap their labels);
    a slice whose only lesions are degenerate, or flagged as crowd, counts as one without lesions; nothing is printed.

    Sample entries beside MMDetection's: ``task`` ('segmentation'), ``patient_id`` and ``scan_id`` (None where unknown),
    ``ann_file`` and ``row`` (index in the file's ``images``), which loading errors name.

    Args:
        ann_file: COCO JSON, relative to ``data_root``.
        data_prefix: ``img``: folder, relative to ``data_root``, that the file's image names start from.
        filter_cfg: ``filter_empty_gt=True`` drops slices without lesions, ``min_size`` slices with a side below that
            many pixels; neither in test mode.
        **kwargs: as :class:`mmdet.datasets.BaseDetDataset`, and ``on_unreadable`` ('stop' or 'skip') of
            :class:`UnreadablePolicy`.

    Raises:
        FileNotFoundError: if the annotation file is missing.
        ValueError: if it is broken, its categories are not the classes, or no slice is left.
    """

    METAINFO = {'classes': ('lesion', ), 'palette': [(220, 20, 60)]}
    task = SEGMENTATION

    def __init__(self,
                 ann_file: str = '',
                 data_prefix: dict = dict(img=''),  # noqa: B006, as in BaseDataset, which copies it
                 filter_cfg: dict | None = None,
                 **kwargs: Any) -> None:
        super().__init__(
            ann_file=ann_file, data_prefix=image_prefix(data_prefix, 'img'), filter_cfg=filter_cfg, **kwargs)

    def check_source(self) -> None:
        """Check that the annotation file is there.

        Raises:
            FileNotFoundError: if not.
        """
        check_annotation_file(self.ann_file, self.data_root, LESIONS)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file."""
        with collection_paused():
            return self._load_data_list()

    def _load_data_list(self) -> list[dict]:
        content = load_annotation_file(self.ann_file, self.data_root, LESIONS)
        for key in ('images', 'annotations', 'categories'):
            if not isinstance(content.get(key), list) or not all(isinstance(entry, dict) for entry in content[key]):
                raise ValueError(f'{self.ann_file} has no list "{key}" of objects: it is not a COCO file')
        self._index_categories(content['categories'])
        annotations = self._group_annotations(content['annotations'], content['images'])
        return [
            self.parse_data_info({'raw_img_info': {**image, 'img_id': image['id'], 'row': row},
                                  'raw_ann_info': annotations[image['id']]})
            for row, image in enumerate(content['images'])
        ]

    def parse_data_info(self, raw_data_info: dict) -> dict[str, Any]:
        """Parse one slice; degenerate boxes (outside the slice, or thinner than a pixel) are dropped."""
        data_info = super().parse_data_info(raw_data_info)
        image = raw_data_info['raw_img_info']
        data_info.update(task=self.task, patient_id=image.get('patient_id'), scan_id=image.get('scan_id'),
                         ann_file=self.ann_file, row=image['row'])
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
            raise ValueError(f'no slice of {self.ann_file} is left: {len(self.data_list)} in the file, '
                             f'{sum(bool(info["instances"]) for info in self.data_list)} with lesions, '
                             f'filter_cfg={self.filter_cfg}')
        return kept

    def _index_categories(self, categories: list[dict]) -> None:
        names = tuple(category.get('name') for category in categories)
        classes = tuple(self.metainfo['classes'])
        if names != classes:
            raise ValueError(f'{self.ann_file} has the categories {names}, but the data set is configured for the '
                             f'classes {classes}: set metainfo=dict(classes={names}), and the number of classes of the '
                             'model, or convert the data with these classes')
        for row, category in enumerate(categories):
            self._check(f'categories[{row}]', check_reference, category.get('id'), 'id')
        self.cat_ids = [category['id'] for category in categories]
        self.cat2label = {category_id: label for label, category_id in enumerate(self.cat_ids)}
        if len(self.cat2label) != len(categories):
            raise ValueError(f'{self.ann_file} has categories that share an id: {self.cat_ids}')

    def _group_annotations(self, annotations: list[dict], images: list[dict]) -> dict[Any, list[dict]]:
        """Return the annotations by image id, after checks that a hand-written file is likely to need."""
        by_id: dict[Any, dict] = {}
        for row, image in enumerate(images):
            self._require_keys(image, _IMAGE_KEYS, f'images[{row}]')
            self._check(f'images[{row}]', check_image, image)
            if image['id'] in by_id:
                raise ValueError(f'images[{row}] of {self.ann_file} repeats the id {image["id"]!r}')
            by_id[image['id']] = image
        by_image: dict[Any, list[dict]] = defaultdict(list)
        annotation_ids = set()
        for row, annotation in enumerate(annotations):
            self._require_keys(annotation, _ANNOTATION_KEYS, f'annotations[{row}]')
            for key in ('id', 'image_id', 'category_id'):
                self._check(f'annotations[{row}]', check_reference, annotation[key], key)
            for key, known in (('image_id', by_id), ('category_id', self.cat2label)):
                if annotation[key] not in known:
                    raise ValueError(f'annotations[{row}] of {self.ann_file} refers to the unknown {key} '
                                     f'{annotation[key]!r}')
            if annotation['id'] in annotation_ids:
                raise ValueError(f'annotations[{row}] of {self.ann_file} repeats the id {annotation["id"]!r}')
            annotation_ids.add(annotation['id'])
            self._check(f'annotations[{row}]', check_annotation, annotation, by_id[annotation['image_id']])
            by_image[annotation['image_id']].append(annotation)
        return by_image

    def _check(self, place: str, check: Callable[..., None], *arguments: Any) -> None:
        try:
            check(*arguments)
        except ValueError as error:
            raise ValueError(f'{place} of {self.ann_file} {error}; run the converter again, or mend the file') from error

    def _require_keys(self, entry: dict, keys: tuple[str, ...], name: str) -> None:
        missing = [key for key in keys if key not in entry]
        if missing:
            raise ValueError(f'{name} of {self.ann_file} lacks {", ".join(missing)}')
