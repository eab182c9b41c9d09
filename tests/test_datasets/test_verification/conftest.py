"""A small, correct data set in which each test plants one fault."""

import json

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as mask_utils

import mmaffinity.datasets  # noqa: F401, registers the data sets
from mmaffinity.datasets.verification import verify_config

SIZE = 48


def picture(seed, size=SIZE):
    """A distinct image for every seed, of smooth blobs, because the hash depends only on coarse structure."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (7, 7)).astype(np.float32)
    smooth = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 3, (size, size)), 0, 255).astype(np.uint8)


class Bench:
    """Data root with slices and lesions for train, val and test, each patient in one split."""

    def __init__(self, root):
        self.root = root
        self.slices = {split: [] for split in ('train', 'val', 'test')}
        self.lesions = {
            split: dict(images=[], annotations=[], categories=[dict(id=1, name='lesion')]) for split in ('train', 'test')
        }
        self.loading = dict(type='LoadCTSlice')
        for number, split in enumerate(self.slices):
            for index in range(4):
                name = f'slices/{split}_{index}.png'
                self.draw(name, 100 * number + index)
                self.slices[split].append(
                    dict(img_path=name, label=index % 2, patient_id=f'{split}-{index // 2}', scan_id=f's{index // 2}')
                )
        for number, split in enumerate(self.lesions):
            for index in range(2):
                patient, name = f'{10 * number + index}', 'slice1'
                image = f'ct_lesion_seg/image/{patient}/{name}.png'
                self.draw(image, 1000 + 100 * number + index)
                mask = np.zeros((SIZE, SIZE), np.uint8)
                mask[10:30, 12:22] = 2
                self.write(f'ct_lesion_seg/mask/{patient}/{name}.png', mask)
                rle = mask_utils.encode(np.asfortranarray(mask // 2))
                images, annotations = self.lesions[split]['images'], self.lesions[split]['annotations']
                images.append(
                    dict(id=index + 1, file_name=image, width=SIZE, height=SIZE, patient_id=f'lesion-{patient}', scan_id=None)
                )
                annotations.append(
                    dict(
                        id=index + 1,
                        image_id=index + 1,
                        category_id=1,
                        bbox=[12.0, 10.0, 10.0, 20.0],
                        area=200,
                        iscrowd=0,
                        segmentation=dict(size=[SIZE, SIZE], counts=rle['counts'].decode()),
                    )
                )

    def write(self, name, image):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), image)

    def draw(self, name, seed):
        self.write(name, picture(seed))

    def read(self, name):
        return cv2.imread(str(self.root / name), cv2.IMREAD_UNCHANGED)

    def config(self):
        (self.root / 'annotations').mkdir(exist_ok=True)
        for split, rows in self.slices.items():
            (self.root / f'annotations/slices_{split}.json').write_text(
                json.dumps(dict(metainfo=dict(slice_classes=['Normal', 'COVID-19']), data_list=rows))
            )
        for split, content in self.lesions.items():
            (self.root / f'annotations/lesions_{split}.json').write_text(json.dumps(content))

        def slices(split):
            return dict(
                type='SliceDataset',
                data_root=str(self.root),
                ann_file=f'annotations/slices_{split}.json',
                test_mode=split != 'train',
                pipeline=[self.loading],
            )

        def lesions(split):
            return dict(
                type='LesionDataset',
                data_root=str(self.root),
                ann_file=f'annotations/lesions_{split}.json',
                test_mode=split != 'train',
                filter_cfg=dict(filter_empty_gt=True),
                pipeline=[self.loading],
            )

        return Config(
            dict(
                train_dataloader=dict(dataset=dict(type='MultiTaskDataset', datasets=[lesions('train'), slices('train')])),
                val_dataloader=dict(dataset=slices('val')),
                test_dataloader=dict(dataset=dict(type='MultiTaskDataset', datasets=[lesions('test'), slices('test')])),
            )
        )

    def verify(self, **options):
        return verify_config(self.config(), **{'workers': 0, **options})

    def write_config(self, path):
        self.config().dump(path)
        return path


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / 'root')
