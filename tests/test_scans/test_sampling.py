"""Sampling of slices: evenly spaced over all scans, each at most once."""

import numpy as np
import pytest
from scan_helpers import chest_volume, write_images, write_nifti

from mmaffinity.scans import Problem, sample_slices


def test_a_sample_is_evenly_spaced(tmp_path):
    for name in ('a', 'b'):
        write_images(tmp_path / name, 5)
    inputs = [tmp_path / 'a', tmp_path / 'b']
    assert len(list(sample_slices(inputs))) == 10 == len(list(sample_slices(inputs, 10)))
    assert [item.name for item in sample_slices(inputs, 4)] == [f'a/slice_{i}.png' for i in (0, 3)] + [
        f'b/slice_{i}.png' for i in (1, 4)
    ]
    assert len(list(sample_slices(inputs, 1))) == 1


def test_unreadable_slices_are_omitted_and_missing_inputs_named(tmp_path):
    folder = write_images(tmp_path / 'in', 2)
    (folder / 'slice_1.png').write_bytes(b'no image')
    assert [item.name for item in sample_slices([folder]) if not isinstance(item, Problem)] == ['in/slice_0.png']
    with pytest.raises(FileNotFoundError, match='nowhere'):
        list(sample_slices([folder, tmp_path / 'nowhere']))


def test_masks_beside_volumes_are_omitted(tmp_path):
    write_nifti(tmp_path / 'ct.nii.gz', chest_volume())
    write_nifti(tmp_path / 'ct_mask.nii.gz', (chest_volume() > 0).astype(np.uint8))
    items = list(sample_slices([tmp_path]))
    assert [item.name.rpartition('/')[2] for item in items if not isinstance(item, Problem)] == [
        f'ct.nii.gz#{i}' for i in range(3)
    ]
    assert 'not Hounsfield units' in next(item.reason for item in items if isinstance(item, Problem))
