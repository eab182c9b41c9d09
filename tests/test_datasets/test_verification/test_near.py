"""Groups of pictures that look nearly the same."""

import itertools

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.verification import Near
from mmaffinity.datasets.verification.image_facts import FileFacts, read_facts
from mmaffinity.datasets.verification.near import near_groups

RANDOM = np.random.default_rng(0)


def picture(*amplitudes):
    """A smooth picture; near amplitudes give near pictures."""
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


def test_groups_are_what_pairs_connect(read):
    """Against a comparison of all with all, by the definition: bits that differ, correlation of the thumbnails."""
    bases = RANDOM.normal(size=(12, 9))
    facts = read(*(picture(*(base + RANDOM.normal(size=9) * spread)) for base in bases for spread in (0, 0.03, 0.06, 0.1)))
    near = Near(8, 0.99)
    groups = list(range(len(facts)))
    for one, other in itertools.combinations(range(len(facts)), 2):
        thumbs = [np.frombuffer(facts[place].thumb, np.uint8).astype(float) for place in (one, other)]
        if (facts[one].hash ^ facts[other].hash).bit_count() <= 8 and np.corrcoef(*thumbs)[0, 1] >= 0.99:
            joined = min(groups[one], groups[other])
            groups = [joined if group in (groups[one], groups[other]) else group for group in groups]
    assert near_groups(facts, near) == groups
    assert 12 <= len(set(groups)) < 48


def test_copies_are_one_group_whatever_their_size_and_brightness(read):
    base, another = (
        cv2.resize(RANDOM.integers(0, 255, (10, 10), np.uint8), (128, 128), interpolation=cv2.INTER_CUBIC) for _ in range(2)
    )
    facts = read(another, base, cv2.resize(base, (90, 80)), base // 2 + 40, another)
    assert near_groups(facts, Near()) == [0, 1, 1, 1, 0]


def test_blank_and_unreadable_files_are_groups_of_their_own(read):
    blank = np.full((32, 32), 7, np.uint8)
    base = picture(*RANDOM.normal(size=9))
    facts = [*read(blank, base, blank, base), FileFacts(error='is not there'), FileFacts(error='is not there')]
    assert near_groups(facts, Near()) == [0, 1, 2, 1, 4, 5]
    assert near_groups(facts[:1], Near()) == [0] and near_groups([], Near()) == []
