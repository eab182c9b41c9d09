import io
import pickle

import numpy as np
import pytest

from mmaffinity.datasets.conversion.ct_md_labels import find_label_files, read_slice_labels

ARRAY = np.array([[0, 1, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])


def write(folder, numbers=(0, 1, 2), array=ARRAY, name='Slice-level-labels.npy'):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f'{number},COVID-19,./COVID-19/,P{place + 1:03d}' for place, number in enumerate(numbers)]
    text = '\n'.join(['\ufeffLabel Index,Diagnosis,Relative Path,Folder/ID', *rows])
    (folder / 'Index.csv').write_text(text, encoding='utf-8')
    np.save(folder / name, array)
    return folder / 'Index.csv', folder / name


def test_labels_by_patient(tmp_path):
    labels = read_slice_labels(*write(tmp_path))
    assert list(labels) == ['P001', 'P002', 'P003']
    assert np.array_equal(np.stack(list(labels.values())), ARRAY.astype(bool)) and labels['P001'].dtype == bool
    labels = read_slice_labels(*write(tmp_path, (2, 0, 1), ARRAY.astype(np.float32)))
    assert labels['P001'].tolist() == [True, False, False, False] and labels['P002'].tolist() == [False, True, True, False]


def test_an_index_that_skips_a_number(tmp_path):
    """The published index does: its rows are patients in the order of their numbers."""
    labels = read_slice_labels(*write(tmp_path, (0, 1, 3)))
    assert labels['P003'].tolist() == [True, False, False, False]


def test_updated_labels_are_preferred(tmp_path):
    index, labels = write(tmp_path / 'root' / 'Labels', name='Slice_level_labels.npy')
    assert find_label_files(tmp_path / 'root') == (index, labels)
    updated = labels.with_name('Slice-level-labels-updated-1.npy')
    np.save(updated, ARRAY)
    np.save(labels.with_name('Lobe-level-labels.npy'), ARRAY)
    assert find_label_files(tmp_path / 'root') == (index, updated)
    assert find_label_files(tmp_path, 'my.csv', 'my.npy') == (type(index)('my.csv'), type(index)('my.npy'))
    np.save(tmp_path / 'root' / 'slice-level-labels-UPDATED-2.npy', ARRAY)
    with pytest.raises(ValueError, match='found more than one Slice-level-labels.npy.*choose one with --labels'):
        find_label_files(tmp_path / 'root')
    index.unlink()
    with pytest.raises(FileNotFoundError, match=r'Index.csv is not in .*root: get it from https.*--index'):
        find_label_files(tmp_path / 'root')


def test_pickled_arrays_are_not_opened(tmp_path):
    """An object array would run the functions that its pickle names."""

    class Attack:
        def __reduce__(self):
            return open, (str(tmp_path / 'attacked'), 'w')

    index, labels = write(tmp_path, array=np.array([[Attack()]], dtype=object))
    with pytest.raises(ValueError, match='is not an array of numbers'):
        read_slice_labels(index, labels)
    labels.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ValueError, match='is not an array of numbers'):
        read_slice_labels(index, labels)
    assert not (tmp_path / 'attacked').exists()


@pytest.mark.parametrize(
    'array, message',
    [
        (np.zeros((3, 4, 5)), r'float64 of shape \(3, 4, 5\).*not Lobe-level-labels'),
        (np.array(['a']), r'<U1 of shape'),
        (ARRAY * 2, 'contains the value 2; slice labels must be 0 or 1'),
        (ARRAY * np.nan, 'contains the value nan'),
        (ARRAY[:2], 'has 3 patients up to number 2, but .* has 2 rows: they do not match'),
    ],
)
def test_arrays_other_than_slice_labels_are_rejected(tmp_path, array, message):
    with pytest.raises(ValueError, match=message):
        read_slice_labels(*write(tmp_path, array=array))


def test_damaged_arrays(tmp_path):
    index, labels = write(tmp_path)
    whole = labels.read_bytes()
    archive = io.BytesIO()
    np.savez(archive, ARRAY)
    for content in (b'', whole[:-5], whole[:20], b'text', archive.getvalue()):
        labels.write_bytes(content)
        with pytest.raises(ValueError, match=f'{labels.name} (is not an array of numbers|contains an archive)'):
            read_slice_labels(index, labels)
    with pytest.raises(FileNotFoundError, match='the slice labels .*absent.npy do not exist'):
        read_slice_labels(index, tmp_path / 'absent.npy')


@pytest.mark.parametrize(
    'text, message',
    [
        ('', "has no column 'Label Index'; it has none: get it from"),
        ('Label Index,Patient\n0,P001\n', "has no column 'Folder/ID'; it has Label Index, Patient"),
        ('Label Index,Folder/ID\n', 'lists no patients'),
        ('Label Index,Folder/ID\nzero,P001\n', "line 2 of .* has the number 'zero' and the patient 'P001'"),
        ('Label Index,Folder/ID\n0\n', "has the number '0' and the patient ''"),
        ('Label Index,Folder/ID\n0,P001\n0,P002\n', 'line 3 of .* repeats number 0 or patient P002'),
        ('Label Index,Folder/ID\n0,P001\n1,P001\n', 'repeats number 1 or patient P001'),
    ],
)
def test_invalid_index_files(tmp_path, text, message):
    index, labels = write(tmp_path)
    index.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_slice_labels(index, labels)


def test_an_index_in_another_encoding(tmp_path):
    index, labels = write(tmp_path)
    index.write_bytes(index.read_text(encoding='utf-8-sig').encode('utf-16'))
    with pytest.raises(ValueError, match='cannot be read as UTF-8 text|has no column'):
        read_slice_labels(index, labels)
    with pytest.raises(FileNotFoundError, match='the index .* does not exist'):
        read_slice_labels(tmp_path / 'absent.csv', labels)
