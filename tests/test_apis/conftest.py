"""A narrow model, and inputs of all kinds."""

import pytest
from scan_helpers import (
    chest_volume,
    write_images,
    write_model,
    write_nifti,
    write_series,
)

from mmaffinity.apis.inferencer import AffinityInferencer


@pytest.fixture(scope='module')
def model(tmp_path_factory, repo_root):
    return write_model(tmp_path_factory.mktemp('model'), repo_root)


@pytest.fixture(scope='module')
def inferencer(model):
    return AffinityInferencer(*model, device='cpu')


@pytest.fixture
def mixed(tmp_path):
    pytest.importorskip('pydicom'), pytest.importorskip('nibabel')
    root = tmp_path / 'in'
    write_images(root / 'png', 3)
    write_series(root / 'dcm', 3)
    write_nifti(root / 'v.nii.gz', chest_volume())
    return root
