"""Small data sets in the layouts that the converters read."""

import zlib

import cv2
import numpy as np
from scan_helpers import SIZE, chest_volume, write_nifti, write_series

CNCB_OUTPUTS = {
    'lesions_train.json',
    'lesions_test.json',
    'slices_train.json',
    'slices_train_left_out.json',
    'slices_val.json',
    'slices_test.json',
    'statistics.json',
}

# Options of image-pairs and nifti-pairs for these small data sets: every patient trains.
PAIR_OPTIONS = ['--lesion-labels', '3', '--min-area', '20', '--val-share', '0', '--test-share', '0']

BOX = (40, 30, 8, 12)  # x, y, width, height of the lesion of a volume, in the radiological view


def view_mask(label=1):
    x, y, width, height = BOX
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y : y + height, x : x + width] = label
    return mask


def stored(views):
    """Radiological slices as :func:`write_nifti` expects them with its default affine."""
    return np.stack([view[::-1].T for view in views], axis=2)


def put_volumes(folders, name, number=4, lesions=(1, 2), label=1, mask_name=None, affine=None, mask=None, volume=None):
    """Write a volume and its mask to the first two folders."""
    images, masks, _ = folders
    if mask is None:
        mask = stored([view_mask(label) * (index in lesions) for index in range(number)])
    write_nifti(images / f'{name}.nii.gz', chest_volume(number) if volume is None else volume, affine)
    write_nifti(masks / f'{mask_name or name}.nii.gz', mask, affine)


def put_pictures(folders, name, lesion=(40, 30, 8, 12), label=2, suffix='.jpg', seed=None):
    """Write a slice of noise, and a mask of lungs (1) with a lesion at x, y, width, height."""
    image = np.random.default_rng(zlib.crc32(name.encode()) if seed is None else seed).integers(0, 255, (8, 8), np.uint8)
    mask = np.zeros((64, 80), np.uint8)
    mask[10:50, 20:70] = 1
    if lesion:
        x, y, width, height = lesion
        mask[y : y + height, x : x + width] = label
    for path in (folders[0] / f'{name}{suffix}', folders[1] / f'{name}.png'):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folders[0] / f'{name}{suffix}'), cv2.resize(image, (80, 64), interpolation=cv2.INTER_CUBIC))
    cv2.imwrite(str(folders[1] / f'{name}.png'), mask)


NUMBER = 5  # slices of a series


def put_labels(root, patients):
    """Write Index.csv and the labels: by patient, the numbers from the head of slices with infection."""
    rows = np.zeros((len(patients), 12), np.int64)
    lines = ['Label Index,Diagnosis,Relative Path,Folder/ID']
    for place, (name, infected) in enumerate(patients.items()):
        rows[place, list(infected)] = 1
        lines.append(f'{place},x,./x/,{name}')
    (root / 'Index.csv').write_text('\n'.join(lines) + '\n')
    np.save(root / 'Slice-level-labels.npy', rows)


def write_covid_ct_md(root):
    """Write four series in the layout of COVID-CT-MD, one of each class and one that is not labelled."""
    for folder, name in (
        ('COVID-19 Cases', 'P001'),
        ('COVID-19 Cases', 'P009'),
        ('Cap Cases', 'cap001'),
        ('Normal Cases', 'normal001'),
    ):
        write_series(root / folder / name, NUMBER, series=name)
    put_labels(root, dict(P001=(1, 2), cap001=(0,)))
    return root


def put_smooth_slice(path, seed, brightness=1.0):
    """Write a smooth image; equal seeds give equal images except for the brightness."""
    noise = np.random.default_rng(seed).integers(0, 200, (6, 6), np.uint8)
    picture = cv2.resize(noise, (60, 50), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.uint8(picture * brightness))


ICTCF_TRAIN = ['2_pCT5.jpg', '0_nCT7.jpg', '0_nCT8.jpg']
ICTCF_TEST = ['0_nCT70.jpg', '2_pCT50.jpg']


def write_ictcf(root):
    """Write five slices in the layout of iCTCF, with their lists."""
    (root / 'lists').mkdir(parents=True)
    (root / 'lists' / 'train_ictcf.txt').write_text('\n'.join(ICTCF_TRAIN))
    (root / 'lists' / 'test_ictcf.txt').write_text('\n'.join(ICTCF_TEST))
    for index, row in enumerate(ICTCF_TRAIN + ICTCF_TEST):
        name = row[2:]
        (root / name[:3]).mkdir(exist_ok=True)
        cv2.imwrite(str(root / name[:3] / name), np.full((12, 16), 40 * index, np.uint8))
    return root


COVIDX_HEADER = 'patient id,source,country,sex,age,finding,verified finding,slice selection,view,modality\n'
COVIDX_ROWS = {
    'train': ['NCP_1_10_0001.png 2 1 2 20 15', 'STOIC-5-0010.png 2 0 0 20 16', 'CP_3_30_0000.png 1 0 1 20 16'],
    'val': ['COVIDCTMD-cap001-IM0049.png 1 0 0 20 16', 'COVIDCTMD-normal002-IM0001.png 0 0 0 20 16'],
    'test': ['coronacases_007-0078.png 2 0 0 20 16'],
}
COVIDX_PATIENTS = [
    ('NCP_1', 'CNCB', 'COVID-19'),
    ('STOIC-5', 'STOIC', 'COVID-19'),
    ('CP_3', 'CNCB', 'Pneumonia'),
    ('COVIDCTMD-cap001', 'COVID-CT-MD', 'Pneumonia'),
    ('COVIDCTMD-normal002', 'COVID-CT-MD', 'Normal'),
    ('coronacases_007', 'COVID-19-CT-Seg', 'COVID-19'),
]


def write_covidx_ct(root, version='3A', images='3A_images', **rows):
    """Lists of a version at the root, and a picture for every row."""
    rng = np.random.default_rng(0)
    (root / images).mkdir(parents=True, exist_ok=True)
    for split, lines in {**COVIDX_ROWS, **rows}.items():
        (root / f'{split}_COVIDx_CT-{version}.txt').write_text(''.join(line + '\n' for line in lines))
        for line in lines:
            cv2.imwrite(str(root / images / line.split()[0]), rng.integers(0, 256, (16, 20), np.uint8))
    (root / 'metadata.csv').write_text(
        COVIDX_HEADER
        + ''.join(f'{patient},{source},,,,{finding},Yes,Expert,Axial,CT\n' for patient, source, finding in COVIDX_PATIENTS)
    )


CNCB_TRAIN = ['Normal_1_10_0000', 'Normal_1_10_0001', 'CP_2_11_0000', 'CP_2_11_0001', 'NCP_3_12_0000', 'NCP_3_13_0001']
CNCB_VAL = ['Normal_4_14_0000', 'CP_5_15_0000']
CNCB_TEST = ['NCP_6_16_0000', 'NCP_6_16_0001', 'CP_7_17_0000']
CNCB_SAMPLE = ['0_1_10_0001', '1_2_11_0000', '2_3_13_0001']


def write_cncb_lists(folder, **rows):
    labels = {'Normal': 0, 'CP': 1, 'NCP': 2}
    folder.mkdir(exist_ok=True)
    for name, split in (('train', CNCB_TRAIN), ('val', CNCB_VAL), ('test', CNCB_TEST)):
        text = ''.join(f'{row}.png {labels[row.split("_")[0]]} 0 0 9 9\n' for row in rows.get(name, split))
        (folder / f'{name}_COVIDx_CT-1.txt').write_text(text)
    sample = ''.join(f'{row}.png\n' for row in rows.get('sample', CNCB_SAMPLE))
    (folder / 'train_split_classification.txt').write_text(sample)
    for name, split in (('train', ['0_5', '0_17', '1_3']), ('test', ['2_8'])):
        rows_ = rows.get(f'lesions_{name}', split)
        (folder / f'{name}_split_segmentation.txt').write_text(''.join(f'{row}.jpg\n' for row in rows_))


def write_cncb_ncov(root):
    """Write a download of 11 slices, one of them a JPEG, and four lesion slices, one of them without lesions."""
    root.mkdir()
    write_cncb_lists(root / 'lists')
    rng = np.random.default_rng(0)
    for row in CNCB_TRAIN + CNCB_VAL + CNCB_TEST:
        path = root.joinpath(*row.split('_')).with_suffix('.jpg' if row == 'CP_2_11_0000' else '.png')
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (24, 20), np.uint8))
    for row, value in (('0_5', 2), ('0_17', 1), ('1_3', 3), ('2_8', 2)):
        patient, name = row.split('_')
        mask = np.ones((40, 44), np.uint8)
        mask[5:20, 5:25] = value
        for kind, suffix, image in (('image', 'jpg', mask * 60), ('mask', 'png', mask)):
            folder = root / 'ct_lesion_seg' / kind / patient
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f'{name}.{suffix}'), image)
    return root
