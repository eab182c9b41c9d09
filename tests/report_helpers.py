"""Results files of synthetic runs, as ``tools/test.py --out`` writes them, and what a report says of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmaffinity.evaluation.functional.bootstrap import Estimate
from mmaffinity.evaluation.report import Report, build_report, load_runs
from mmaffinity.evaluation.report.tables import Table

CLASSES = ('Normal', 'CP', 'COVID-19')
RESAMPLES = 60


def slice_records(
    num: int,
    num_patients: int,
    seed: int = 0,
    quality: float = 2.0,
    classes: Sequence[str] = CLASSES,
    first: int = 0,
    model_seed: int = 0,
) -> list:
    """Slices of patients of one class each; a model of some quality, with noise that a patient's slices share."""
    random, noise = np.random.default_rng(seed), np.random.default_rng([seed, model_seed])
    patients = np.sort(random.integers(num_patients, size=num))
    own = noise.normal(size=(num_patients, len(classes)))
    records = []
    for index, patient in enumerate(patients.tolist()):
        label = patient % len(classes)
        logits = quality * (np.arange(len(classes)) == label) - 1 + 0.7 * own[patient] + noise.normal(size=len(classes))
        scores = 1 / (1 + np.exp(-logits))
        path = f'{classes[label]}/{patient}/{patient // 2}/{first + index:05d}.png'
        records.append(
            dict(
                img_path=f'/data/cncb/{path}',
                rel_path=path,
                patient_id=str(patient),
                scan_id=str(patient // 2),
                label=label,
                pred=int(logits.argmax()),
                scores=scores.tolist(),
                logits=logits.tolist(),
            )
        )
    return records


def lesion_records(num: int, seed: int = 0, model_seed: int = 0) -> list:
    random, noise = np.random.default_rng(seed), np.random.default_rng([seed, model_seed])
    records = []
    for index in range(num):
        num_gt, top = int(random.integers(0, 5)), noise.uniform(0.2, 1)
        ap = [float(num_gt > 0) * max(0.0, top - 0.08 * step) for step in range(10)]
        records.append(
            dict(
                img_path=f'/data/cncb/ct/{index // 2}/{index}.png',
                rel_path=f'ct/{index // 2}/{index}.png',
                patient_id=str(index // 2),
                scan_id=None,
                num_gt=num_gt,
                num_pred=3,
                ap=ap,
            )
        )
    return records


def write_results(
    folder: Path,
    slices: Sequence[dict] = (),
    lesions: Sequence[dict] = (),
    name: str = 'results.json',
    split: str = 'test',
    classes: Sequence[str] = CLASSES,
    ann_file: str | None = None,
    metrics: dict | None = None,
    checkpoint: str = 'epoch_1.pth',
    synthetic: bool = False,
    **content: object,
) -> Path:
    """Write a results file and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lists = dict(
        classification=dict(ann_files=[ann_file or f'annotations/slices_{split}.json'], synthetic=synthetic),
        segmentation=dict(ann_files=['annotations/lesions_test.json'], synthetic=synthetic),
    )
    (folder / name).write_text(
        json.dumps(
            dict(
                schema=2,
                split=split,
                lists=lists,
                checkpoint=str(folder / checkpoint),
                config='config.py',
                slice_classes=list(classes) if slices else [],
                metrics=metrics or {},
                slices=list(slices),
                lesions=list(lesions),
                **content,
            )
        )
    )
    return folder


def report_of(*folders: Path, **options: object) -> Report:
    slices, lesions, notes = load_runs(folders)
    return build_report(slices, lesions, options.pop('num_resamples', RESAMPLES), notes=notes, **options)


def table(report: Report, key: str) -> Table:
    return next(table for table in report.tables if table.key == key)


def cell(report: Report, key: str, metric: str, row: int = 0) -> Estimate:
    return table(report, key).rows[row].cells[metric]


def no_nan(report: Report) -> None:
    """Check that every undefined value has a note."""
    for one in report.tables:
        text = one.markdown()
        assert 'nan' not in text.lower().replace('dominant', ''), text
        for row in one.rows:
            for estimate in row.cells.values():
                assert estimate.value is None or np.isfinite(estimate.value)
                assert estimate.value is not None or estimate.note, (one.key, row.name)
