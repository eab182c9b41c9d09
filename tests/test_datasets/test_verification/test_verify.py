"""Faults planted in a data set without any, one per check: each is found, named, and nothing else is."""
import json
import shutil

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mmaffinity.datasets.verification import CHECKS, Near, verify_config
from mmaffinity.datasets.verification.findings import plural


def only(report, *checks):
    """The findings, after a check that they are of these checks and no others."""
    assert {finding.check for finding in report.findings} == set(checks), [f.message for f in report.findings]
    return report.findings


def test_nothing_is_found_where_nothing_is_wrong(bench):
    report = bench.verify()
    assert report.findings == [] and report.passed
    assert report.sentences()[-1] == 'passed: nothing is wrong'
    rows = {row['name']: row for row in report.datasets}
    assert list(rows) == [
        'train (annotations/lesions_train.json)', 'train (annotations/slices_train.json)',
        'val (annotations/slices_val.json)', 'test (annotations/lesions_test.json)', 'test (annotations/slices_test.json)']
    slices = rows['train (annotations/slices_train.json)']
    assert (slices['num'], slices['patients'], slices['scans'], slices['unknown_patients']) == (4, 2, 2, 0)
    assert slices['classes'] == {'Normal': 2, 'COVID-19': 2}
    assert slices['kinds'] == {'.png': 4}
    assert slices['sizes'] == {'48 x 48': 4} and slices['depths'] == {'8': 4}
    lesions = rows['test (annotations/lesions_test.json)']
    assert (lesions['num'], lesions['with_lesions'], lesions['classes']) == (2, 2, {'lesion': 2})
    assert report.reading['files'] == report.reading['read'] == 12 + 4 + 4  # slices, lesion images, masks


@pytest.mark.parametrize('field, check, name', [('patient_id', 'shared-patients', 'train-1'),
                                                ('scan_id', 'shared-scans', 'train-1/s1')])
def test_shared_patients_and_scans(bench, field, check, name):
    bench.slices['test'][0]['patient_id'] = 'train-1'
    bench.slices['test'][0]['scan_id'] = 's1' if field == 'scan_id' else 'other'
    report = bench.verify()
    found = {finding.check: finding for finding in report.findings}
    assert set(found) == ({'shared-patients'} if field == 'patient_id' else {'shared-patients', 'shared-scans'})
    assert found[check].count == 1 and name in found[check].message and 'both train and test' in found[check].message
    assert '2 slices of train, 1 of test' in found[check].message
    assert not report.passed


def test_a_scan_number_is_its_patients(bench):
    """Every patient of the bench has scans s0 or s1: numbers within a patient are no shared scans."""
    assert {row['scan_id'] for rows in bench.slices.values() for row in rows} == {'s0', 's1'}
    only(bench.verify())
    for split in ('train', 'test'):
        for row in bench.slices[split]:
            row['patient_id'] = None
    found = only(bench.verify(), 'unknown-patients', 'shared-scans')
    assert found[0].check == 'shared-scans' and found[0].count == 2  # without patients, the numbers are all there is


def test_allowed_failures_pass_and_strict_warnings_fail(bench):
    bench.slices['val'][0]['patient_id'] = 'test-0'
    bench.slices['val'][0]['scan_id'] = 'other'
    report = bench.verify(allow=['shared-patients'])
    assert report.passed and only(report, 'shared-patients')[0].severity == 'allowed'
    assert '1 accepted with --allow' in report.sentences()[-1]
    bench.slices['train'][0]['patient_id'] = None
    assert bench.verify(allow=['shared-patients']).passed
    strict = bench.verify(allow=['shared-patients'], strict=True)
    assert not strict.passed and [finding.check for finding in strict.findings] == ['unknown-patients', 'shared-patients']
    assert bench.verify(allow=['shared-patients', 'unknown-patients'], strict=True).passed
    with pytest.raises(ValueError, match="no check 'patients' to allow; the checks are unreadable-lists"):
        bench.verify(allow=['patients'])


def test_unknown_patients(bench):
    for row in bench.slices['test'][:3]:
        row['patient_id'] = None
    report = bench.verify()
    finding, = only(report, 'unknown-patients')
    assert report.passed and finding.severity == 'warning' and finding.count == 3
    assert '3 of 4 slices' in finding.message and 'leakage' in finding.message and 'cannot be excluded' in finding.message


def test_patients_in_name_spaces_of_their_own_cannot_be_compared(bench):
    """Lesion patients as cncb_ncov.py names them: no name equals one of the labelled slices, whoever it is."""
    for content in bench.lesions.values():
        for image in content['images']:
            image['patient_id'] = f'ct_lesion_seg/{image["patient_id"]}'
    report = bench.verify(read_files=False)
    finding, = only(report, 'unknown-patients')
    assert report.passed and finding.severity == 'warning' and finding.count == 4
    names = {split: [f'{split} (annotations/{kind}_{split}.json)' for kind in ('lesions', 'slices')]
             for split in ('train', 'val', 'test')}
    # Of the two lesion lists, and of the lists of slices, names can be compared; train's lists are one split.
    pairs = {(names['train'][0], names['val'][1]), (names['train'][0], names['test'][1]),
             (names['train'][1], names['test'][0]), (names['val'][1], names['test'][0])}
    assert {(item['first'], item['second']) for item in finding.items} == pairs
    assert all(item['name_spaces'] == ['ct_lesion_seg/'] for item in finding.items)
    assert f'leakage, that is a patient in two splits, cannot be excluded between {names["train"][0]}' in finding.message
    # A patient of both lists' name space makes them comparable.
    bench.slices['test'][0]['patient_id'] = 'ct_lesion_seg/other'
    bench.slices['test'][0]['scan_id'] = 'other'
    assert only(bench.verify(read_files=False), 'unknown-patients')[0].count == 3


def test_name_spaces_are_those_of_one_data_root(bench):
    """Two roots are two collections: a name that is in one alone says nothing."""
    config = bench.config()
    config.train_dataloader.dataset = dict(config.train_dataloader.dataset.datasets[1])
    for rows, site in ((bench.slices['train'], 'site_a'), (bench.slices['val'], 'site_b'), (bench.slices['test'], 'site_b')):
        for row in rows:
            row['patient_id'] = f'hospitals/{site}/{row["patient_id"]}'
    config.test_dataloader = None
    bench.config()  # writes the lists
    finding, = only(verify_config(config, read_files=False), 'unknown-patients')
    assert finding.items[0]['name_spaces'] == ['hospitals/site_a/', 'hospitals/site_b/']
    (bench.root / 'other').symlink_to(bench.root)
    config.val_dataloader.dataset.data_root = str(bench.root / 'other')
    only(verify_config(config, read_files=False))


def test_file_kinds_are_counted_by_name(bench):
    image = bench.read('slices/val_0.png')
    for index, name in enumerate(('slices/val_0.JPG', 'slices/val_1.jpg')):
        bench.write(name, image)
        bench.slices['val'][index]['img_path'] = name
    report = bench.verify(read_files=False)
    row = next(row for row in report.datasets if row['split'] == 'val')
    assert row['kinds'] == {'.jpg': 2, '.png': 2} and row['sizes'] is None
    assert any('2 patients, 2 scans, .jpg and .png' in line for line in report.sentences())


def test_one_split_alone_leaks_nothing(bench):
    config = bench.config()
    config.val_dataloader = config.test_dataloader = None
    for row in bench.slices['train']:
        row['patient_id'] = None
    only(verify_config(config, workers=0))


def test_shared_file(bench):
    bench.slices['test'][0]['img_path'] = './slices/../slices/train_0.png'  # the same file, written otherwise
    finding, = only(bench.verify(), 'shared-slices')
    assert finding.count == 1 and 'slices/train_0.png' in finding.message


def test_identical_slice_under_another_name_and_in_another_format(bench):
    cv2.imwrite(str(bench.root / 'slices/test_0.png'), bench.read('slices/train_0.png'),
                [cv2.IMWRITE_PNG_COMPRESSION, 0])
    assert (bench.root / 'slices/test_0.png').read_bytes() != (bench.root / 'slices/train_0.png').read_bytes()
    finding, = only(bench.verify(), 'identical-slices')
    assert finding.items == [dict(train='slices/train_0.png', test='slices/test_0.png')]
    assert finding.severity == 'failure' and 'slices/train_0.png = slices/test_0.png' in finding.message


def test_identical_across_tasks(bench):
    """A lesion training slice among the slices of the classification test."""
    shutil.copy(bench.root / 'ct_lesion_seg/image/0/slice1.png', bench.root / 'slices/test_0.png')
    assert only(bench.verify(), 'identical-slices')[0].count == 1


@pytest.mark.parametrize('alter', [
    lambda image: cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], 0),
    lambda image: np.clip(image * .8 + 20, 0, 255).astype(np.uint8),
    lambda image: cv2.flip(cv2.flip(image, 1), 1) ^ np.eye(48, dtype=np.uint8),
], ids=['recoded', 'brightness', 'a few pixels'])
def test_near_identical_slice(bench, alter):
    bench.write('slices/test_0.png', alter(bench.read('slices/train_0.png')))
    report = bench.verify()
    finding, = only(report, 'near-identical-slices')
    assert report.passed and finding.severity == 'warning' and finding.count == 1
    item, = finding.items
    assert (item['train'], item['test']) == ('slices/train_0.png', 'slices/test_0.png')
    assert 0 <= item['bits'] <= 6 and 0.995 <= item['correlation'] <= 1
    only(bench.verify(near=Near(correlation=1.)))


def test_near_is_checked_first():
    with pytest.raises(ValueError, match='they must be within 0..15'):
        Near(radius=16)
    with pytest.raises(ValueError, match='at most 1'):
        Near(correlation=1.5)


def test_repeated_slices_and_conflicting_labels(bench):
    shutil.copy(bench.root / 'slices/train_0.png', bench.root / 'slices/train_2.png')  # same label
    finding, = only(bench.verify(), 'repeated-slices')
    assert finding.items == [['slices/train_0.png', 'slices/train_2.png']]
    shutil.copy(bench.root / 'slices/train_0.png', bench.root / 'slices/train_1.png')  # another
    found = only(bench.verify(), 'repeated-slices', 'conflicting-labels')
    assert found[0].check == 'conflicting-labels' and found[0].severity == 'failure'
    assert found[0].items == [{'Normal': 'train: slices/train_0.png', 'COVID-19': 'train: slices/train_1.png'}]


def test_missing_and_corrupt_files(bench):
    (bench.root / 'slices/val_1.png').unlink()
    content = (bench.root / 'slices/test_3.png').read_bytes()
    (bench.root / 'slices/test_3.png').write_bytes(content[:-30])
    report = bench.verify()
    missing, corrupt = only(report, 'missing-files', 'corrupt-files')
    assert missing.items == ['slices/val_1.png'] and str(bench.root) in missing.message
    assert corrupt.items == [dict(file='slices/test_3.png', error=corrupt.items[0]['error'])]
    assert 'truncated PNG' in corrupt.message and not report.passed
    prints = {row['name']: row['content_sha256'] for row in report.datasets}
    assert prints['val (annotations/slices_val.json)'] is None  # there is no such data set
    assert prints['test (annotations/slices_test.json)'] is None
    assert prints['train (annotations/slices_train.json)'] is not None


def test_sizes(bench):
    bench.write('slices/train_0.png', cv2.resize(bench.read('slices/train_0.png'), (40, 44)))
    finding, = only(bench.verify(), 'sizes')
    assert finding.items == [dict(file='slices/train_0.png', width=40, height=44)]
    assert 'slices/train_0.png is 40 x 44' in finding.message


def test_annotated_size(bench):
    name = 'ct_lesion_seg/image/0/slice1.png'
    bench.write(name, cv2.resize(bench.read(name), (48, 40)))
    found = only(bench.verify(), 'annotated-sizes', 'sizes', 'mask-files')  # one fault, seen from three sides
    assert found[0].check == 'annotated-sizes' and 'is 48 x 40, annotated as 48 x 48' in found[0].message


def test_bit_depths(bench):
    dark = bench.read('slices/train_0.png').astype(np.uint16) * 16
    bench.write('slices/train_0.png', dark)
    mixed, nearly_black = only(bench.verify(), 'bit-depths')
    assert 'has 16 bits' in mixed.message and 'train_0.png' in mixed.message and 'max_value=4095' in nearly_black.message
    bench.loading['max_value'] = 4095
    assert len(only(bench.verify(), 'bit-depths')) == 1
    bench.loading['max_value'] = int(dark.max()) - 1
    above = only(bench.verify(), 'bit-depths', 'above-white')[0]
    assert above.check == 'above-white' and above.items == [dict(file='slices/train_0.png', high=int(dark.max()))]


def test_blank_slices_are_no_duplicates_of_each_other(bench):
    for split in ('train', 'test'):
        bench.write(f'slices/{split}_0.png', np.full((48, 48), 7, np.uint8))
    found = only(bench.verify(), 'blank-slices')
    assert [finding.items for finding in found] == [[dict(file=f'slices/{split}_0.png', level=7)]
                                                    for split in ('train', 'test')]


@pytest.mark.parametrize('change, check, words', [
    (dict(bbox=[30., 10., 30., 20.]), 'lesions-outside', '(30, 10) to (60, 30) in a picture of 48 x 48'),
    (dict(bbox=[-8., 10., 10., 20.]), 'lesions-outside', '(-8, 10)'),
    (dict(bbox=[12., 10., 0., 20.]), 'broken-annotations', '0 wide'),
    (dict(bbox=[12., 10., 30., 20.]), 'boxes-and-masks', 'that of its mask [12, 10, 10, 20]'),
    (dict(area=150), 'boxes-and-masks', 'its area is 150, that of its mask 200'),
    (dict(segmentation=dict(size=[48, 48], counts=[100, 200])), 'broken-annotations', 'add up to 300'),
    (dict(segmentation=dict(size=[48, 48], counts='~~~')), 'broken-annotations', 'no run lengths'),
    (dict(segmentation=dict(size=[48, 48], counts=[48 * 48])), 'broken-annotations', 'its mask is empty'),
    (dict(segmentation=[[12, 10, 22, 10, 60, 30]]), 'lesions-outside', 'outline reaches'),
    (dict(segmentation=[[12, 10]]), 'broken-annotations', 'three or more points'),
    (dict(segmentation=None), 'broken-annotations', 'no mask'),
], ids=str)
def test_lesions(bench, change, check, words):
    bench.lesions['test']['annotations'][1].update(change)
    found = bench.verify().findings
    finding = next(finding for finding in found if finding.check == check)
    assert finding.count == 1 and words in finding.message
    assert 'annotations[1] of ct_lesion_seg/image/11/slice1.png' in finding.message
    # A box that leaves the picture, or has no width, is not its mask's either; the data set itself may refuse the file.
    assert {finding.check for finding in found} <= {check, 'boxes-and-masks', 'unreadable-lists'}


def test_mask_of_another_picture(bench):
    mask = np.zeros((60, 60), np.uint8)
    mask[10:30, 12:22] = 1
    rle = mask_utils.encode(np.asfortranarray(mask))
    bench.lesions['train']['annotations'][0]['segmentation'] = dict(size=[60, 60], counts=rle['counts'].decode())
    finding, = [finding for finding in bench.verify().findings if finding.check == 'lesions-outside']
    assert 'its mask is for a picture of 60 x 60, not 48 x 48' in finding.message


def test_every_broken_lesion_is_named(bench):
    """A data set stops at the first; here they are counted, over the whole file."""
    for annotation in bench.lesions['train']['annotations']:
        annotation['segmentation'] = dict(size=[48, 48], counts=[5])
    found = {finding.check: finding for finding in bench.verify().findings}
    assert set(found) == {'broken-annotations', 'unreadable-lists'} and found['broken-annotations'].count == 2


@pytest.mark.parametrize('content', [[], dict(images=3, annotations=None), dict(images=[3, dict(id=[])], annotations=[7]),
                                     dict(images=[dict(id=1)], annotations=[dict(image_id=1, bbox=[10**400] * 4)])], ids=str)
def test_lesion_file_of_any_content(bench, content):
    config = bench.config()
    (bench.root / 'annotations/lesions_train.json').write_text(json.dumps(content))
    report = verify_config(config, workers=0)
    assert {finding.check for finding in report.findings} <= {'unreadable-lists', 'broken-annotations', 'lesions-outside'}
    assert len(report.of('failure')) >= 1


def test_lesion_that_the_data_set_drops_is_seen(bench):
    """A box wholly outside leaves its slice without lesions, which training leaves out: the file is checked itself."""
    bench.lesions['train']['annotations'][0]['bbox'] = [100., 100., 10., 20.]
    found = bench.verify()
    assert next(row for row in found.datasets if 'lesions_train' in row['name'])['num'] == 1
    assert 'lesions-outside' in {finding.check for finding in found.findings}


def test_raw_masks(bench):
    mask = bench.read('ct_lesion_seg/mask/0/slice1.png')
    mask[0, 0] = 9
    bench.write('ct_lesion_seg/mask/0/slice1.png', mask)
    finding, = only(bench.verify(), 'mask-values')
    assert 'mask/0/slice1.png' in finding.message and 'has the values 9' in finding.message
    (bench.root / 'ct_lesion_seg/mask/0/slice1.png').write_bytes(b'no image')
    assert 'cannot be read' in only(bench.verify(), 'mask-files')[0].message
    bench.write('ct_lesion_seg/mask/0/slice1.png', np.zeros((48, 40), np.uint8))
    assert 'is 40 x 48, its image 48 x 48' in only(bench.verify(), 'mask-files')[0].message


def test_masks_without_image_and_images_without_mask(bench):
    bench.write('ct_lesion_seg/mask/77/slice1.png', np.zeros((48, 48), np.uint8))
    report = bench.verify()
    assert report.passed and only(report, 'mask-without-image')[0].items == ['ct_lesion_seg/mask/77/slice1.png']
    shutil.rmtree(bench.root / 'ct_lesion_seg/mask/77')
    bench.draw('ct_lesion_seg/image/78/slice1.png', 78)
    report = bench.verify()
    assert report.passed and only(report, 'image-without-mask')[0].items == ['ct_lesion_seg/image/78/slice1.png']
    (bench.root / 'ct_lesion_seg/mask/10/slice1.png').unlink()  # of a slice in the test list
    report = bench.verify()
    finding, = only(report, 'image-without-mask')
    assert not report.passed and finding.count == 2 and '1 is in a list (ct_lesion_seg/image/10/' in finding.message


def test_class_counts(bench):
    for row in bench.slices['train']:
        row['label'] = 0
    finding, = only(bench.verify(), 'class-counts')
    assert 'no slice of COVID-19 (Normal 4, COVID-19 0)' in finding.message and 'train' in finding.message


def test_a_list_that_cannot_be_loaded_leaves_the_others(bench):
    config = bench.config()
    (bench.root / 'annotations/slices_val.json').write_text('{')
    report = verify_config(config, workers=0)
    finding, = only(report, 'unreadable-lists')
    assert 'slices_val.json is not valid JSON' in finding.message and len(report.datasets) == 4 and not report.passed
    config.val_dataloader.dataset.type = 'NoSuchDataset'
    assert 'NoSuchDataset' in only(verify_config(config, workers=0), 'unreadable-lists')[0].message


def test_one_reason_is_told_once(bench):
    """A data root that is not there concerns all."""
    config = bench.config()
    bench.root.rename(bench.root.parent / 'elsewhere')
    finding, *others = only(verify_config(config, workers=0), 'unreadable-lists')
    assert not others and finding.count == len(finding.items) == 5
    assert finding.message.startswith('5 data sets (train, val, test) cannot be loaded, and are not verified further: data')


def test_config_without_data():
    with pytest.raises(ValueError, match='has no data set: none of train_dataloader, val_dataloader, test_dataloader'):
        verify_config(Config(dict(model=dict())))


def test_lists_only_reads_no_file(bench):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    config = bench.config()
    shutil.rmtree(bench.root / 'slices')
    report = verify_config(config, read_files=False)
    assert {finding.check for finding in report.findings} == {'shared-patients', 'shared-scans'}
    assert report.reading is None and 'no file was read' in report.sentences()[-1]
    assert all(row['content_sha256'] is None for row in report.datasets)


@pytest.mark.parametrize('pattern, checks', [(r'(?P<patient>p\d+)_', set()), (None, {'unknown-patients'})])
def test_folds_of_folders(bench, pattern, checks):
    for index in range(24):
        bench.draw(f'folders/{("a", "b")[index % 2]}/p{index // 2}_{index}.png', 5000 + index)

    def fold(test_mode):
        return dict(dataset=dict(type='SliceFolderDataset', data_root=str(bench.root / 'folders'), slice_classes=['a', 'b'],
                                 patient_pattern=pattern, folds=3, fold=1, test_mode=test_mode))

    report = verify_config(Config(dict(train_dataloader=fold(False), test_dataloader=fold(True))), workers=0)
    assert {finding.check for finding in report.findings} == checks
    assert sum(row['num'] for row in report.datasets) == 24 and all(row['num'] for row in report.datasets)
    assert 'all but fold 1 of 3' in report.datasets[0]['name']
    # The same fold twice is what a wrong config does.
    report = verify_config(Config(dict(train_dataloader=fold(True), test_dataloader=fold(True))), workers=0)
    assert 'shared-slices' in {finding.check for finding in report.findings}


def test_wrapped_data_sets_are_found(bench):
    config = bench.config()
    config.train_dataloader.dataset = dict(type='RepeatDataset', times=2, dataset=config.train_dataloader.dataset)
    assert len(verify_config(config, workers=0).datasets) == 5


def test_report_is_written_whole_and_is_plain(bench, tmp_path):
    bench.slices['test'][0]['patient_id'] = 'train-0'
    report = bench.verify(allow=['shared-scans'])
    report.write(tmp_path / 'sub/report.json')
    content = json.loads((tmp_path / 'sub/report.json').read_text())
    assert content['schema'] == 1 and content['passed'] is False
    assert [finding['check'] for finding in content['findings']] == ['shared-patients', 'shared-scans']
    assert [finding['severity'] for finding in content['findings']] == ['failure', 'allowed']
    assert len(content['datasets']) == 5 and content['reading']['read'] == 20


def test_every_check_is_described(repo_root):
    text = (repo_root / 'docs/data.md').read_text()
    assert [name for name in CHECKS if f'`{name}`' not in text] == []


@pytest.mark.parametrize('count, noun, verb, words', [
    (1, 'slice', 'is', '1 slice is'), (2, 'box', '', '2 boxes'), (3, 'copy', 'has', '3 copies have'),
    (0, 'scan', '', '0 scans')])
def test_plural(count, noun, verb, words):
    assert plural(count, noun, verb) == words
