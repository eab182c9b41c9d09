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


@pytest.fixture
def two_scans(tmp_path):
    for name in 'ab':
        write_images(tmp_path / 'in' / name, 2)
    return tmp_path / 'in'


@pytest.fixture
def study(tmp_path):
    """Eight scans, one of them rejected, a damaged slice, a file that is not a scan, and names that differ only in case."""
    root = tmp_path / 'study'
    for name in ('a', 'b', 'c', 'd/x y', 'd/x-y'):
        write_images(root / name, 2)
    (root / 'b' / 'slice_9.png').write_bytes(b'\x89PNG\r\n\x1a\n')
    (root / 'readme.txt').write_text('no scan')
    (root / '.DS_Store').write_bytes(b'\0\0\0\1Bud1')
    pytest.importorskip('nibabel')
    write_nifti(root / 'v.nii.gz', chest_volume())
    write_nifti(root / 'mr.nii.gz', chest_volume() * 0 + 7)
    return root
