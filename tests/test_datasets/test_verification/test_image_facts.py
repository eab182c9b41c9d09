"""Facts read from one file."""

import hashlib
import warnings

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.verification.image_facts import FileFacts, perceptual_hash, read_facts


def shapes(seed=0, size=96):
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (7, 7)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def test_facts_of_a_slice(tmp_path):
    image = shapes()[:80]
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), image)
    facts = read_facts('slice', str(path))
    assert facts.error is None and (facts.width, facts.height, facts.depth) == (96, 80, 8)
    assert (facts.low, facts.high) == (image.min(), image.max())
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert facts.pixels == hashlib.sha256(b'uint8 (80, 96)' + image.tobytes()).hexdigest()
    thumb = np.frombuffer(facts.thumb, np.uint8).reshape(16, 16)
    exact = image.reshape(16, 5, 16, 6).mean((1, 3))  # 80 = 16 x 5 and 96 = 16 x 6
    stretched = (exact - exact.min()) / np.ptp(exact) * 255
    assert np.abs(thumb - stretched).max() < 2
    assert FileFacts.from_row(facts.to_row()) == facts
    with pytest.raises(ValueError, match='not a row'):
        FileFacts.from_row(facts.to_row()[1:])


def test_the_same_pixels_in_another_file(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), shapes())
    cv2.imwrite(str(tmp_path / 'b.bmp'), shapes())
    one, other = (read_facts('slice', str(tmp_path / name)) for name in ('a.png', 'b.bmp'))
    assert one.sha256 != other.sha256 and one.pixels == other.pixels and one.hash == other.hash


def test_sixteen_bits(tmp_path):
    image = shapes().astype(np.uint16) * 16
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    cv2.imwrite(str(tmp_path / 'b.png'), shapes())
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # dark content is a finding, not a Python warning
        facts = read_facts('slice', str(tmp_path / 'a.png'))
    assert facts.depth == 16 and (facts.low, facts.high) == (image.min(), image.max())
    eight = read_facts('slice', str(tmp_path / 'b.png'))
    assert facts.pixels != eight.pixels and bin(facts.hash ^ eight.hash).count('1') <= 2
    assert np.abs(np.frombuffer(facts.thumb, np.uint8).astype(int) - np.frombuffer(eight.thumb, np.uint8)).max() <= 2


def test_blank_missing_and_broken(tmp_path):
    cv2.imwrite(str(tmp_path / 'blank.png'), np.full((20, 20), 5, np.uint8))
    blank = read_facts('slice', str(tmp_path / 'blank.png'))
    assert blank.error is None and blank.hash is None and blank.thumb is None and blank.low == blank.high == 5
    missing = read_facts('slice', str(tmp_path / 'none.png'))
    assert missing.missing and missing.error
    (tmp_path / 'text.png').write_text('<html>')
    broken = read_facts('slice', str(tmp_path / 'text.png'))
    assert not broken.missing and 'web page' in broken.error and broken.sha256
    assert not read_facts('slice', str(tmp_path)).missing  # the folder exists, but no file
    assert read_facts('slice', str(tmp_path)).error


def test_hash_describes_the_coarse_image():
    """The bits against an explicit cosine transform."""
    small = np.random.default_rng(3).uniform(0, 255, (32, 32)).astype(np.float32)
    place, frequency = np.meshgrid(np.arange(32), np.arange(32))
    basis = np.sqrt(2 / 32) * np.cos(np.pi * (2 * place + 1) * frequency / 64)
    basis[0] /= np.sqrt(2)
    coefficients = basis @ small.astype(np.float64) @ basis.T
    values = [coefficients[row, column] for row in range(8) for column in range(8)][1:] + [coefficients[8, 0]]
    bits = ''.join('1' if value > np.median(values) else '0' for value in values)
    assert perceptual_hash(small) == int(bits, 2)


def test_different_pictures_have_different_hashes(tmp_path):
    found = []
    for seed in range(12):
        cv2.imwrite(str(tmp_path / f'{seed}.png'), shapes(seed))
        found.append(read_facts('slice', str(tmp_path / f'{seed}.png')).hash)
    distances = [bin(a ^ b).count('1') for index, a in enumerate(found) for b in found[:index]]
    assert min(distances) > 6


def test_neighbouring_slices_are_similar_and_patients_are_not(shared_dir):
    scan = [read_facts('slice', str(path)) for path in sorted((shared_dir / 'data/ct_scan').glob('*.jpg'))]
    others = [read_facts('slice', str(path)) for path in sorted((shared_dir / 'data/ct_slices').glob('*/*'))]
    assert len(scan) > 40 and len(others) == 30

    def near(one, other):
        a, b = (np.frombuffer(facts.thumb, np.uint8).astype(float) for facts in (one, other))
        return bin(one.hash ^ other.hash).count('1') <= 6 and np.corrcoef(a, b)[0, 1] >= 0.995

    neighbours = [near(one, other) for one, other in zip(scan, scan[1:])]
    patients = [near(one, other) for index, one in enumerate(others) for other in [*others[:index], *scan[::10]]]
    assert np.mean(neighbours) > 0.6 and not any(patients)
