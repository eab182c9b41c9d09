"""Groups of similar images."""

import itertools

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.verification import near
from mmaffinity.datasets.verification.image_facts import FileFacts, read_facts
from mmaffinity.datasets.verification.near import Near, Thumbnails, near_groups

RANDOM = np.random.default_rng(0)


def picture(*amplitudes):
    """A smooth image; similar amplitudes give similar images."""
    y, x = np.mgrid[0:1:64j, 0:1:64j]
    waves = [np.cos(np.pi * (1 + index % 3) * x) * np.cos(np.pi * (1 + index // 3) * y) for index in range(len(amplitudes))]
    total = sum(amplitude * wave for amplitude, wave in zip(amplitudes, waves, strict=True))
    return np.uint8(np.clip(128 + 20 * total, 0, 255))


@pytest.fixture
def read(tmp_path):

    def facts_of(*pictures):
        facts = []
        for index, pixels in enumerate(pictures):
            path = tmp_path / f'{index}.png'
            cv2.imwrite(str(path), pixels)
            facts.append(read_facts('slice', str(path)))
        return facts

    return facts_of


def test_groups_are_connected_components_of_pairs(read):
    """Against a comparison of all with all, by the definition: bits that differ, correlation of the thumbnails."""
    bases = RANDOM.normal(size=(12, 9))
    facts = read(*(picture(*(base + RANDOM.normal(size=9) * spread)) for base in bases for spread in (0, 0.03, 0.06, 0.1)))
    criteria = Near(8, 0.99)
    groups = list(range(len(facts)))
    for one, other in itertools.combinations(range(len(facts)), 2):
        thumbs = [np.frombuffer(facts[place].thumb, np.uint8).astype(float) for place in (one, other)]
        if (facts[one].hash ^ facts[other].hash).bit_count() <= 8 and np.corrcoef(*thumbs)[0, 1] >= 0.99:
            joined = min(groups[one], groups[other])
            groups = [joined if group in (groups[one], groups[other]) else group for group in groups]
    assert near_groups(facts, criteria) == groups
    assert 12 <= len(set(groups)) < 48


def test_copies_of_any_size_and_brightness_form_one_group(read):
    base, another = (
        cv2.resize(RANDOM.integers(0, 255, (10, 10), np.uint8), (128, 128), interpolation=cv2.INTER_CUBIC) for _ in range(2)
    )
    facts = read(another, base, cv2.resize(base, (90, 80)), base // 2 + 40, another)
    assert near_groups(facts, Near()) == [0, 1, 1, 1, 0]


def test_blank_and_unreadable_files_are_separate_groups(read):
    blank = np.full((32, 32), 7, np.uint8)
    base = picture(*RANDOM.normal(size=9))
    facts = [*read(blank, base, blank, base), FileFacts(error='is not there'), FileFacts(error='is not there')]
    assert near_groups(facts, Near()) == [0, 1, 2, 1, 4, 5]
    assert near_groups(facts[:1], Near()) == [0] and near_groups([], Near()) == []


def thumbnails(number, spread, seed=0):
    """Hashes a few bits, and images a little noise, away from six centres."""
    random = np.random.default_rng(seed)
    which = random.integers(0, 6, number)
    centres = np.random.default_rng(99)
    bits = (centres.random((6, 64)) < 0.5)[which] ^ (random.random((number, 64)) < 0.07)
    smooth = centres.normal(size=(6, 256)).cumsum(1)[which] + random.normal(size=(number, 256)) * spread
    pictures = np.uint8(np.clip(128 + 8 * smooth, 0, 255))
    hashes = np.packbits(bits, axis=1).view('>u8')[:, 0].astype(np.uint64)
    return Thumbnails([FileFacts(hash=int(own), thumb=thumb.tobytes()) for own, thumb in zip(hashes, pictures, strict=True)])


@pytest.mark.parametrize('radius, correlation', [(0, 0.9), (1, 0.99), (6, 0.98), (15, 0.5), (15, 0.97)])
@pytest.mark.parametrize('block', [7, 1 << 20])
def test_pairs_equal_a_comparison_of_all_with_all(monkeypatch, radius, correlation, block):
    monkeypatch.setattr(near, '_BLOCK', block)
    one, other = thumbnails(90, 1, seed=radius), thumbnails(70, 1, seed=radius + 1)
    other.hashes[:3], other.values[:3] = one.hashes[:3], one.values[:3]
    bits = [[(int(a) ^ int(b)).bit_count() for b in other.hashes] for a in one.hashes]
    alike = one.values @ other.values.T
    expected = [(i, j) for i in range(90) for j in range(70) if bits[i][j] <= radius and alike[i, j] >= correlation]
    pairs = one.near(other, Near(radius, correlation))
    assert [tuple(pair) for pair in pairs.places.tolist()] == expected and len(expected) >= 3 and not pairs.cut
    assert pairs.bits.tolist() == [bits[i][j] for i, j in expected]
    np.testing.assert_allclose(pairs.correlations, [alike[i, j] for i, j in expected], atol=1e-5)


def test_only_few_pairs_are_compared(monkeypatch):
    """Of the nine million pairs of 3000 and 3000 images, fewer than one in a hundred is compared."""
    random = np.random.default_rng(1)
    facts = [
        FileFacts(hash=number, thumb=cv2.resize(random.integers(0, 255, (5, 5), np.uint8), (16, 16)).tobytes())
        for number in range(3000)
    ]
    looked_at = []
    candidates = near._candidates

    def counted(*arguments):
        for pair in candidates(*arguments):
            looked_at.append(len(pair[0]))
            yield pair

    monkeypatch.setattr(near, '_candidates', counted)
    pairs = Thumbnails(facts).near(Thumbnails(facts), Near())
    assert pairs.places.tolist() == [[i, i] for i in range(3000)] and sum(looked_at) < 9e4


def test_a_further_condition_and_a_limit():
    few, many = thumbnails(10, 0), thumbnails(20, 0)
    for pictures in (few, many):
        pictures.hashes[:] = 0
        pictures.values[:] = few.values[0]
    pairs = few.near(many, Near(2, 0.99), lambda left, right: left == right)
    assert pairs.places.tolist() == [[i, i] for i in range(10)] and not pairs.bits.any() and not pairs.cut
    pairs = few.near(many, Near(2, 0.99), limit=30)
    assert len(pairs.places) == len(pairs.bits) == 30 and pairs.cut
    none = Thumbnails([])
    assert none.near(many, Near()).places.shape == many.near(none, Near()).places.shape == (0, 2)


def test_near_is_checked_first():
    with pytest.raises(ValueError, match='it must be within 0..15'):
        Near(radius=16)
    with pytest.raises(ValueError, match='at most 1'):
        Near(correlation=1.5)
