"""A narrow model, and inputs of all kinds."""

import json

import pytest
from scan_helpers import (
    chest_volume,
    write_images,
    write_model,
    write_nifti,
    write_series,
)

from mmaffinity.apis.inferencer import AffinityInferencer
from mmaffinity.apis.prediction import predict_to_folder


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


@pytest.fixture(scope='module')
def series(tmp_path_factory, inferencer):
    """A predicted DICOM series of 12 slices: folder of the results, folder of the scan, its prediction."""
    pytest.importorskip('pydicom')
    root = tmp_path_factory.mktemp('series')
    write_series(root / 'in', 12)
    (scan,) = predict_to_folder(inferencer, root / 'in', root / 'out', score_thr=0.3, overlays='none').scans
    folder = root / 'out' / scan.folder
    return root / 'out', folder, json.loads((folder / 'prediction.json').read_text())
