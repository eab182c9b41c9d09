"""Reading with several processes."""

import os

import cv2
import numpy as np
import pytest

from mmaffinity.datasets.verification import image_facts
from mmaffinity.datasets.verification.fact_cache import FactCache
from mmaffinity.datasets.verification.reading import CHUNK, CRASHED, read_all

NUMBER = 5 * CHUNK + 3


@pytest.fixture
def jobs(tmp_path):
    found = []
    for index in range(NUMBER):
        path = str(tmp_path / f'{index}.png')
        cv2.imwrite(path, np.random.default_rng(index).integers(0, 256, (20, 20), np.uint8))
        found.append(('slice', path))
    return found


def test_result_does_not_depend_on_the_number_of_processes(jobs):
    calls = []
    one, number = read_all(jobs, FactCache(None), 0)
    two, _ = read_all(jobs, FactCache(None), 2, lambda done, total: calls.append((done, total)))
    assert one == two and number == NUMBER == len(one)
    assert calls[-1] == (NUMBER, NUMBER) and [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert all(fact == image_facts.read_facts(*job) for job, fact in one.items())


def test_second_run_reads_only_the_rest(jobs, tmp_path):
    cache = tmp_path / 'cache.jsonl'

    class Interrupted(Exception):
        pass

    def interrupt(done, total):
        if done >= 3 * CHUNK:
            raise Interrupted

    with pytest.raises(Interrupted), FactCache(cache) as known:
        read_all(jobs, known, 2, interrupt)
    with FactCache(cache) as known:
        facts, number = read_all(jobs, known, 2)
    assert number == NUMBER - 3 * CHUNK and facts == read_all(jobs, FactCache(None), 0)[0]
    with FactCache(cache) as known:
        assert read_all(jobs + jobs, known, 2)[1] == 0


def test_file_that_crashes_its_reader_is_reported(jobs, monkeypatch):
    read, deadly = image_facts.read_facts, jobs[2 * CHUNK + 5]

    def deadly_read(kind, path):
        if path == deadly[1]:
            os._exit(139)
        return read(kind, path)

    monkeypatch.setattr(image_facts, 'read_facts', deadly_read)
    facts, number = read_all(jobs, FactCache(None), 2)
    assert facts[deadly].error == CRASHED and number == NUMBER
    assert [job for job, fact in facts.items() if fact.error] == [deadly]


def test_negative_workers(jobs):
    with pytest.raises(ValueError, match='number of workers is -1'):
        read_all(jobs, FactCache(None), -1)
