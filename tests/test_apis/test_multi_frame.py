"""Predictions of Enhanced CT equal those of the same series in single files."""

import json

import pytest
from frame_helpers import chest_frames, enhanced_ct
from scan_helpers import dicom_slice, save_dicom

from mmaffinity.apis.prediction import predict_to_folder

pytest.importorskip('pydicom')


@pytest.fixture
def inputs(tmp_path):
    frames = chest_frames(4)
    for index, frame in enumerate(frames):
        save_dicom(tmp_path / 'single' / f'{9 - index}.dcm', dicom_slice(frame, index))
    save_dicom(tmp_path / 'multi' / 'e.dcm', enhanced_ct(frames))
    return tmp_path / 'single', tmp_path / 'multi'


def content(out, report):
    (scan,) = report.scans
    return json.loads((out / scan.folder / 'prediction.json').read_text())


def test_multi_frame_predictions_equal_those_of_single_files(tmp_path, inputs, inferencer):
    pytest.importorskip('nibabel'), pytest.importorskip('highdicom')
    results = []
    for source in inputs:
        out = tmp_path / f'out_{source.name}'
        report = predict_to_folder(inferencer, source, out, score_thr=0.3, overlays='none', dicom_seg=True)
        assert not report.problems
        assert {'lesions.nii.gz', 'lesions.dcm'} < {path.name for path in (out / report.scans[0].folder).iterdir()}
        results.append(content(out, report))
    single, multi = results
    assert [item['name'] for item in multi['slices']] == [f'multi/e.dcm#frame {number}' for number in range(1, 5)]
    assert multi['summary']['lesions']['number'] > 0
    for item in (
        *single['slices'],
        *multi['slices'],
        single['summary']['most_affected_slice'],
        multi['summary']['most_affected_slice'],
    ):
        del item['name']
    assert multi['slices'] == single['slices'] and multi['summary'] == single['summary']
    for name in ('affine', 'shape', 'spacing', 'slice_spacing', 'notes'):
        assert multi['scan'][name] == single['scan'][name]


def test_resume_predicts_the_missing_frames(tmp_path, inputs, inferencer):
    out = tmp_path / 'out'

    def stop(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_to_folder(inferencer, inputs[1], out, progress=stop)
    (journal,) = out.glob('*/journal.jsonl')
    before = journal.read_text()
    report = predict_to_folder(inferencer, inputs[1], out, resume=True)
    assert journal.read_text().startswith(before) and report.scans[0].num_predicted == 4
    keys = [json.loads(line)['key'] for line in journal.read_text().splitlines()[1:]]
    assert len(keys) == len(set(keys)) == 4 and all(key.startswith('multi/e.dcm#frame ') for key in keys)
    names = sorted(path.name for path in journal.parent.glob('overlays/*.png'))
    assert len(names) == 4 and all('frame' in name for name in names)
