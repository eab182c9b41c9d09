import re

import pytest

from mmaffinity.datasets.conversion.lists import (
    CncbSlice,
    IctcfSlice,
    LesionSlice,
    parse_covidx_list,
    parse_ictcf_list,
    parse_published_list,
    parse_segmentation_list,
)


def write(path, *rows, end='\n'):
    path.write_bytes((end.join(rows) + end).encode())
    return path


def count(rows):
    return [sum(row.label == label for row in rows) for label in range(max(row.label for row in rows) + 1)]


def test_covidx_rows(tmp_path):
    path = write(
        tmp_path / 'list.txt', 'NCP_96_1328_0032.png 2 9 94 512 405', 'CP_1_2_0003.png 1 0 0 -1 9', 'Normal_815_250_0118.png 0'
    )
    rows = parse_covidx_list(path)
    assert rows == [CncbSlice(2, '96', '1328', '0032'), CncbSlice(1, '1', '2', '0003'), CncbSlice(0, '815', '250', '0118')]
    assert [row.folder for row in rows] == ['NCP/96/1328', 'CP/1/2', 'Normal/815/250']


def test_other_lists(tmp_path):
    path = write(tmp_path / 'a.txt', '0_1728_1013_0023.png', '2_91_1318_0062.png')
    assert parse_published_list(path) == [CncbSlice(0, '1728', '1013', '0023'), CncbSlice(2, '91', '1318', '0062')]
    path = write(tmp_path / 'b.txt', '110_104.jpg', '0_7.jpg')
    assert parse_segmentation_list(path) == [LesionSlice('110', '104'), LesionSlice('0', '7')]
    path = write(tmp_path / 'c.txt', '2_pCT1088.jpg', '0_nCT7.jpg')
    rows = parse_ictcf_list(path)
    assert rows == [IctcfSlice(1, '1088'), IctcfSlice(0, '7')]
    assert [row.folder for row in rows] == ['pCT', 'nCT']


def test_windows_line_endings_and_empty_lines(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes('\ufeff0_1.jpg\r\n\r\n  1_2.jpg \r\n \t\r\n2_3.jpg'.encode())
    assert [row.patient for row in parse_segmentation_list(path)] == ['0', '1', '2']


@pytest.mark.parametrize(
    'parse, row, reason',
    [
        (parse_covidx_list, 'MCP_96_1328_0032.png 2 9 94 512 405', 'class NCP, CP or Normal'),
        (parse_covidx_list, 'NCP_96_1328.png 2 9 94 512 405', 'it does not have the form'),
        (parse_covidx_list, 'NCP_96_1328_0032.png', 'it does not have the form'),
        (parse_covidx_list, 'NCP_96_1328_0032.png 2 9 94 512', 'it does not have the form'),
        (parse_covidx_list, 'NCP_../../secret_1_2.png 2 9 94 512 1', 'it does not have the form'),
        (parse_covidx_list, 'NCP_96_1328_0032.png 1 9 94 512 405', 'its label is 1, but NCP has label 2'),
        (parse_published_list, '3_1728_1013_0023.png', 'with label 0, 1 or 2'),
        (parse_published_list, '0_.._1013_0023.png', 'with label 0, 1 or 2'),
        (parse_segmentation_list, '110_104_3.jpg', '"<patient>_<slice>.jpg"'),
        (parse_ictcf_list, '1_pCT3.jpg', '"0_nCT<n>.jpg" or "2_pCT<n>.jpg"'),
        (parse_ictcf_list, '0_pCT3.jpg', 'prefix 0 and pCT contradict each other'),
        (parse_ictcf_list, '2_nCT3.jpg', 'prefix 2 and nCT contradict each other'),
    ],
)
def test_bad_row_is_named(tmp_path, parse, row, reason):
    path = write(tmp_path / 'list.txt', '', row)
    with pytest.raises(ValueError, match=re.escape(reason)) as info:
        parse(path)
    assert str(info.value).startswith(f'{path}, line 2: {row!r} is invalid: ')


def test_further_bad_rows_are_counted_and_long_ones_truncated(tmp_path):
    path = write(tmp_path / 'list.txt', '0_1.jpg', 'x' * 500, 'y', 'z')
    with pytest.raises(ValueError, match=r'line 2.*\(2 other rows are invalid too\)') as info:
        parse_segmentation_list(path)
    assert len(str(info.value)) < 400


def test_repeated_row(tmp_path):
    path = write(tmp_path / 'list.txt', '0_1.jpg', '0_2.jpg', '0_1.jpg')
    with pytest.raises(ValueError, match=r"line 3: '0_1.jpg' repeats the slice of line 1; delete one"):
        parse_segmentation_list(path)


def test_unusable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='the list .*absent.txt does not exist: correct the path, or download'):
        parse_segmentation_list(tmp_path / 'absent.txt')
    with pytest.raises(ValueError, match='cannot be read as UTF-8 text .*s a directory'):
        parse_segmentation_list(tmp_path)
    with pytest.raises(ValueError, match='has no rows; download the list again'):
        parse_segmentation_list(write(tmp_path / 'empty.txt', '', ' '))
    (tmp_path / 'binary.txt').write_bytes(b'\x89PNG\r\n\xff\xfe\x00')
    with pytest.raises(ValueError, match='binary.txt cannot be read as UTF-8 text'):
        parse_segmentation_list(tmp_path / 'binary.txt')


def test_counts_of_the_real_lists(shared_dir):
    covidx, published = shared_dir / 'data' / 'covidx_ct_v1', shared_dir / 'data' / 'published_splits'
    train = parse_covidx_list(covidx / 'train_COVIDx_CT-1.txt')
    assert (len(train), count(train)) == (61782, [27201, 22061, 12520])
    val = parse_covidx_list(covidx / 'val_COVIDx_CT-1.txt')
    assert (len(val), count(val)) == (21036, [9107, 7400, 4529])
    test = parse_covidx_list(covidx / 'test_COVIDx_CT-1.txt')
    assert (len(test), count(test)) == (21191, [9450, 7395, 4346])
    sample = parse_published_list(published / 'train_split_classification.txt')
    assert (len(sample), count(sample)) == (3000, [1000, 1000, 1000])
    assert set(sample) < set(train)
    lesions = [parse_segmentation_list(published / f'{split}_split_segmentation.txt') for split in ('train', 'test')]
    assert [len(rows) for rows in lesions] == [650, 100]
    assert [len({row.patient for row in rows}) for rows in lesions] == [130, 20]
    ictcf = [parse_ictcf_list(published / f'{split}_ictcf.txt') for split in ('train', 'test')]
    assert [count(rows) for rows in ictcf] == [[300, 300], [9275, 3701]]
    assert not set(ictcf[0]) & set(ictcf[1])
