"""Phantom patients: one anatomy whatever the disease, lesions as in each disease, and connected vessel trees."""

from dataclasses import asdict

import numpy as np
import pytest

from mmaffinity.datasets.phantom.patient import HEIGHT, NUM_VESSELS, SLICE_CLASSES, make_patient, thorax_axes


def test_classes_are_in_the_order_of_the_labels():
    assert SLICE_CLASSES == ('Normal', 'CP', 'COVID-19')


def test_patients_depend_on_seed_and_number_and_the_anatomy_not_on_the_disease():
    ill, again, well = make_patient(3, 1, 2), make_patient(3, 1, 2), make_patient(3, 1, 0)
    assert ill == again and ill not in (make_patient(3, 2, 2), make_patient(4, 1, 2))
    differing = {name for name, value in asdict(ill).items() if value != asdict(well)[name]}
    assert differing == {'label', 'lesions'} and well.lesions == ()
    assert np.array_equal(ill.vessels, well.vessels)


def test_lesions_of_each_disease():
    for number in range(12):
        pneumonia, covid = (make_patient(0, number, label).lesions for label in (1, 2))
        assert 1 <= len(pneumonia) <= 2 and all(lesion.consolidated and not lesion.reticular for lesion in pneumonia)
        assert {lesion.side for lesion in covid} == {-1, 1} and not any(lesion.halo for lesion in covid)
        assert min(lesion.radius for lesion in pneumonia) >= 0.1 and len({lesion.key for lesion in covid}) == len(covid)


def test_cross_sections_of_a_lesion_are_those_of_an_ellipsoid():
    (lesion, *_) = make_patient(0, 0, 1).lesions
    assert lesion.radius_at(lesion.level) == lesion.radius
    for share in (-0.9, -0.3, 0.5):
        radius = lesion.radius_at(lesion.level + share * lesion.half_height)
        assert (radius / lesion.radius) ** 2 + share**2 == pytest.approx(1)
    assert lesion.radius_at(lesion.level - lesion.half_height) == pytest.approx(0, abs=1e-6)
    assert lesion.radius_at(lesion.level + 1.1 * lesion.half_height) == 0


def test_vessels_are_trees_within_the_lungs_that_narrow_from_the_hilum_on():
    patient = make_patient(1, 4, 0)
    both = patient.vessels.reshape(2, NUM_VESSELS, 7)
    for side, part in zip((-1, 1), both):
        starts, ends, radii = part[:, :3], part[:, 3:6], part[:, 6]
        lateral, sagittal = thorax_axes(ends[:, 2] / HEIGHT, patient.thorax)
        assert (side * ends[:, 0] > 0).all()
        assert (np.abs(ends[:, 0]) <= lateral).all() and (np.abs(ends[:, 1]) <= sagittal).all()
        parents = {tuple(end): radius for end, radius in zip(ends.tolist(), radii.tolist())}
        hilum = tuple(starts[0].tolist())
        for start, radius in zip(starts.tolist(), radii.tolist()):
            assert tuple(start) == hilum or parents[tuple(start)] >= radius
        assert len(parents) == NUM_VESSELS and radii.max() > 5 * radii.min()


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((-1, 0, 0), 'must not be negative, got seed -1 and number 0'),
        ((0, -1, 0), 'must not be negative, got seed 0 and number -1'),
        ((0, 0, 3), r'label must be 0 \(Normal\), 1 \(CP\) or 2 \(COVID-19\), got 3'),
    ],
)
def test_invalid_patients(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_patient(*arguments)
