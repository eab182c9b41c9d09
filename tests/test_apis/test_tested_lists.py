"""The fingerprint of the slices that were tested."""

import shutil

from mmaffinity.apis.tested_lists import find_tested_lists
from mmaffinity.datasets.multi_task_dataset import MultiTaskDataset
from mmaffinity.datasets.slice_dataset import SliceDataset
from mmaffinity.utils.provenance import fingerprint


def test_lists_of_both_tasks(tiny_phantom):
    root = str(tiny_phantom / 'cncb_ncov')
    parts = [
        dict(type='LesionDataset', ann_file='annotations/lesions_test.json', data_root=root, test_mode=True),
        dict(type='SliceDataset', ann_file='annotations/slices_test.json', data_root=root, test_mode=True),
    ]
    found = find_tested_lists(MultiTaskDataset(parts))
    lists = found.lists
    assert lists['classification']['ann_files'] == ['annotations/slices_test.json']
    assert (lists['segmentation']['num'], lists['classification']['num']) == (4, 6)
    alone = SliceDataset(ann_file='annotations/slices_test.json', data_root=root, test_mode=True)
    paths = [found.relative(alone.get_data_info(i)['img_path']) for i in range(6)]
    assert not any(path.startswith(root) for path in paths)
    assert lists['classification']['sha256'] == fingerprint(paths)
    assert find_tested_lists(alone).lists['classification'] == lists['classification']
    assert found.relative('/elsewhere/x.png') == '/elsewhere/x.png'
    assert lists['segmentation']['synthetic'] is lists['classification']['synthetic'] is True


def test_other_data_is_not_called_synthetic(tiny_phantom, tmp_path):
    # The phantom's list and slices, but without its marker next to them.
    root = tmp_path / 'hospital' / 'cncb_ncov'
    shutil.copytree(tiny_phantom / 'cncb_ncov', root)
    alone = SliceDataset(ann_file='annotations/slices_test.json', data_root=str(root), test_mode=True)
    assert find_tested_lists(alone).lists['classification']['synthetic'] is False
