"""Separation of stacks, phases and reconstructions of multi-frame DICOM, and joining of concatenations."""

import numpy as np
import pytest
from frame_helpers import chest_frames, encapsulated, enhanced_ct, position
from scan_helpers import dicom_slice, save_dicom, to_grey

from mmaffinity.scans import Problem, find_scans

pydicom = pytest.importorskip('pydicom')
UID = '1.2.3.4.'


def scans_in(path):
    found = list(find_scans(path))
    assert not [str(item) for item in found if isinstance(item, Problem)]
    return found


def shown(scan):
    """Numbers of the frames that a scan shows."""
    greys = [to_grey(frame) for frame in chest_frames(8)]
    return [next(at for at, grey in enumerate(greys) if np.array_equal(grey, item.grey)) for item in scan.read()]


def content(**values):
    return {'FrameContent': values}


@pytest.mark.parametrize(
    'one, two, words',
    [
        (content(StackID='1'), content(StackID='2'), 'StackID 2'),
        (
            content(StackID='1', TemporalPositionIndex=1),
            content(StackID='1', TemporalPositionIndex=2),
            'TemporalPositionIndex 2',
        ),
        (
            {'CardiacSynchronization': dict(NominalPercentageOfCardiacPhase=40.0)},
            {'CardiacSynchronization': dict(NominalPercentageOfCardiacPhase=75.0)},
            'NominalPercentageOfCardiacPhase 75.0',
        ),
        (
            {'RespiratorySynchronization': dict(NominalPercentageOfRespiratoryPhase=0.0)},
            {'RespiratorySynchronization': dict(NominalPercentageOfRespiratoryPhase=50.0)},
            'RespiratoryPhase 50.0',
        ),
        (
            {'CTReconstruction': dict(ConvolutionKernel='B30f')},
            {'CTReconstruction': dict(ConvolutionKernel='B70f')},
            'ConvolutionKernel B70f',
        ),
        ({'CTXRayDetails': dict(KVP=80.0)}, {'CTXRayDetails': dict(KVP=140.0)}, 'KVP 140.0'),
        (
            {'MultienergyCTCharacteristics': dict(MonoenergeticEnergyEquivalent=40.0)},
            {'MultienergyCTCharacteristics': dict(MonoenergeticEnergyEquivalent=70.0)},
            'MonoenergeticEnergyEquivalent 70.0',
        ),
        (
            {'CTImageFrameType': dict(FrameType=['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'])},
            {'CTImageFrameType': dict(FrameType=['DERIVED', 'PRIMARY', 'VOLUME', 'MAXIMUM'])},
            'FrameType',
        ),
        (
            {'UnassignedPerFrameConvertedAttributes': dict(ConvolutionKernel='a')},
            {'UnassignedPerFrameConvertedAttributes': dict(ConvolutionKernel='b')},
            'ConvolutionKernel b',
        ),
    ],
)
def test_stacks_are_separated(tmp_path, one, two, words):
    """Frames of two kinds, interleaved, at the same positions."""
    frames = chest_frames(6)
    macros = [{**(two if at % 2 else one), 'PlanePosition': position(at // 2)} for at in range(6)]
    save_dicom(tmp_path / 'm.dcm', enhanced_ct(frames, macros))
    scans = scans_in(tmp_path)
    assert [shown(scan) for scan in scans] == [[0, 2, 4], [1, 3, 5]]
    assert len({scan.info.name for scan in scans}) == len({scan.identity for scan in scans}) == 2
    assert words in ' '.join(scans[1].info.notes) and 'treated as separate scans' in ' '.join(scans[0].info.notes)
    assert all(scan.info.affine is not None and 'another slice' not in ' '.join(scan.info.notes) for scan in scans)
    # Names depend on the frames' content, not on their order or the file name.
    names = [scan.info.name for scan in scans]
    (tmp_path / 'm.dcm').unlink()
    order = [5, 1, 2, 4, 3, 0]
    save_dicom(tmp_path / 'other.dcm', enhanced_ct([frames[at] for at in order], [macros[at] for at in order]))
    assert sorted(scan.info.name for scan in scans_in(tmp_path)) == sorted(names)


def dimension(data, pointers):
    data.DimensionIndexSequence = [pydicom.Dataset() for _ in pointers]
    for item, keyword in zip(data.DimensionIndexSequence, pointers):
        item.DimensionIndexPointer = pydicom.datadict.tag_for_keyword(keyword)
    return data


def test_custom_dimension_separates_phases(tmp_path):
    frames = chest_frames(6)
    macros = [{**content(DimensionIndexValues=[at // 3 + 1, at % 3 + 1]), 'PlanePosition': position(at % 3)} for at in range(6)]
    save_dicom(tmp_path / 'm.dcm', dimension(enhanced_ct(frames, macros), ['ContrastBolusAgentPhase', 'ImagePositionPatient']))
    assert [shown(scan) for scan in scans_in(tmp_path)] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize('pointer', ['FrameAcquisitionNumber', 'InstanceNumber', 'TemporalPositionIndex'])
@pytest.mark.parametrize('per_index', [1, 2])
def test_entries_that_count_along_the_body_separate_nothing(tmp_path, pointer, per_index):
    macros = [content(DimensionIndexValues=[at // per_index + 1], TemporalPositionIndex=at // per_index + 1) for at in range(6)]
    save_dicom(tmp_path / 'm.dcm', dimension(enhanced_ct(chest_frames(6), macros), [pointer]))
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == list(range(6)) and not scan.info.notes


def part(number, total, frames, offset, **changes):
    data = enhanced_ct(
        frames,
        [{'PlanePosition': position(offset + at)} for at in range(len(frames))],
        ConcatenationUID=UID + '7',
        SOPInstanceUIDOfConcatenationSource=UID + '8',
        InConcatenationNumber=number,
        InConcatenationTotalNumber=total,
        SOPInstanceUID=f'{UID}{number}',
        **{'ConcatenationFrameOffsetNumber': offset, **changes},
    )
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


def test_files_of_a_concatenation_are_one_scan(tmp_path):
    frames = chest_frames(6)
    for number, name in ((1, 'z'), (2, 'a'), (3, 'm')):
        at = 2 * number - 2
        save_dicom(tmp_path / f'{name}.dcm', part(number, 3, frames[at : at + 2], at))
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == list(range(6)) and not scan.info.notes
    slices = list(scan.read())
    assert [item.name.rpartition('/')[2] for item in slices] == [
        f'{name}.dcm#frame {number}' for name in 'zam' for number in (1, 2)
    ]
    assert len(set(scan.keys())) == 6
    name = scan.info.name
    (tmp_path / 'a.dcm').unlink()
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == [0, 1, 4, 5] and scan.info.name == name
    assert '1 of 3 files of a concatenation are missing: number 2' in ' '.join(scan.info.notes)


def test_a_concatenation_without_total_and_positions(tmp_path):
    frames = chest_frames(4)
    for number, name in ((1, 'z'), (3, 'a')):
        data = part(number, 0, frames[number - 1 : number + 1], number - 1)
        del data.InConcatenationTotalNumber
        for item in data.PerFrameFunctionalGroupsSequence:
            del item.PlanePositionSequence
            del item.FrameContentSequence
        save_dicom(tmp_path / f'{name}.dcm', data)
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == [0, 1, 2, 3] and '1 of 3 files' in ' '.join(scan.info.notes)


def test_hostile_part_numbers_cost_nothing(tmp_path):
    save_dicom(tmp_path / 'm.dcm', part(65535, 1, chest_frames(2), 0, ConcatenationFrameOffsetNumber=2**32 - 1))
    (scan,) = scans_in(tmp_path)
    assert '65534 of 65535 files' in ' '.join(scan.info.notes) and shown(scan) == [0, 1]


def test_multi_frame_files_of_one_series_are_separate_scans(tmp_path):
    """Each is a volume of its own: a phase, a reconstruction."""
    names = []
    for index, name in enumerate('ab'):
        data = enhanced_ct(chest_frames(4)[2 * index : 2 * index + 2], SOPInstanceUID=UID + str(index))
        save_dicom(tmp_path / f'{name}.dcm', data)
        names.append({scan.info.name for scan in scans_in(tmp_path)})
    assert names[0] < names[1] and len(names[1]) == 2
    assert [shown(scan) for scan in scans_in(tmp_path)] == [[0, 1], [2, 3]]
    assert 'multi-frame file' in ' '.join(scans_in(tmp_path)[0].info.notes)


def test_files_of_one_frame_are_slices_of_a_series(tmp_path):
    for index in range(4):
        data = enhanced_ct([chest_frames(4)[index]], [{'PlanePosition': position(index)}], SOPInstanceUID=UID + str(index))
        save_dicom(tmp_path / f'{9 - index}.dcm', data)
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == [0, 1, 2, 3] and not scan.info.notes


def test_single_files_beside_frames_are_another_scan(tmp_path):
    save_dicom(tmp_path / 'm.dcm', enhanced_ct(chest_frames(2)))
    save_dicom(tmp_path / 's.dcm', dicom_slice(chest_frames(6)[5], 5))
    assert sorted(shown(scan) for scan in scans_in(tmp_path)) == [[0, 1], [5]]
    # Scans of single files keep the names from before frames were supported.
    (tmp_path / 'm.dcm').unlink()
    (scan,) = scans_in(tmp_path)
    assert scan.identity.endswith(', False)')


def test_frames_of_another_size_of_fragment_are_found(tmp_path):
    """Uneven numbers of fragments per frame, known only from the offset table."""
    frames = chest_frames(3)
    from frame_helpers import compressed

    packed = [compressed(frame, 'RLELossless') for frame in frames]
    data = encapsulated(enhanced_ct(frames), packed, pydicom.uid.RLELossless)
    pieces = [pydicom.encaps.encapsulate([one], fragments_per_frame=1 + at, has_bot=False)[8:] for at, one in enumerate(packed)]
    offsets = np.cumsum([0, *map(len, pieces)])[:3].astype('<u4').tobytes()
    data.PixelData = b'\xfe\xff\0\xe0' + len(offsets).to_bytes(4, 'little') + offsets + b''.join(pieces)
    data['PixelData'].is_undefined_length = True
    save_dicom(tmp_path / 'm.dcm', data)
    (scan,) = scans_in(tmp_path)
    assert shown(scan) == [0, 1, 2]
