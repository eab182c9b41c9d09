"""A phantom patient: body, vessel trees and lesions, random but determined by a seed.

Coordinates: x points right in the image (the patient's left), y down (posterior); the field of view spans -1 to 1 in both,
about 36 cm. *Levels* run from 0 (lung apex) to 1 (lung base); `HEIGHT` is that distance in the same units as x and y.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

SLICE_CLASSES = ('Normal', 'CP', 'COVID-19')
HEIGHT = 1.3
NUM_VESSELS = 1200  # end points of the vessel tree of one lung


@dataclass(frozen=True)
class Lesion:
    """A lesion, placed relative to the lung's outline so that it fits every level.

    Attributes:
        side: -1 for the lung on the left of the image (the patient's right lung), 1 for the other.
        angle: direction from the lung's centre, radians; 0 lateral, pi/2 posterior, -pi/2 anterior.
        depth: position of the centre. CP: 0 is the lung's centre, 1 the pleura. COVID-19: distance to the pleura, as a share of
            the radius.
        level: level of the lesion's centre.
        half_height: half of the lesion's height, in levels.
        radius: radius at its centre, units.
        aspect: ratio of length to width.
        consolidated: whether it is a consolidation (CP) or has a consolidated core (COVID-19).
        reticular: whether its ground glass shows crazy paving.
        halo: width of the ground-glass rim around a consolidation, units; 0 for none.
        key: seed of its outline and texture.
    """

    side: int
    angle: float
    depth: float
    level: float
    half_height: float
    radius: float
    aspect: float
    consolidated: bool
    reticular: bool
    halo: float
    key: int

    def radius_at(self, level: float) -> float:
        """Return the radius of the lesion's cross-section at a level, units; 0 if it does not reach the level."""
        return self.radius * max(0.0, 1.0 - ((level - self.level) / self.half_height) ** 2) ** 0.5


@dataclass(frozen=True)
class Patient:
    """A phantom patient, one anatomy and one disease, from `make_patient`.

    Unless stated otherwise, the numbers are scale factors near 1, or lengths in units.

    Attributes:
        key: seed of everything random that depends on the level (noise, texture).
        label: index into `SLICE_CLASSES`.
        tilt: rotation of the body, radians.
        lung_hu: density of the lungs, HU.
        lesions: lesions; empty for a normal patient.
    """

    key: tuple[int, ...]
    label: int
    breadth: float
    depth: float
    thorax: float
    heart: float
    breast: float
    muscle: float
    tilt: float
    shift: tuple[float, float]
    outline: tuple[float, ...]
    rib_phase: float
    bone: float
    lung_hu: float
    table: float
    lesions: tuple[Lesion, ...]

    @cached_property
    def vessels(self) -> np.ndarray:
        """Segments of both lungs' vessel trees, (M, 7), in units: x, y, z of start and end, radius; z is level x `HEIGHT`."""
        rng = np.random.default_rng([*self.key, 7])
        return np.concatenate([grow_vessels(rng, side, self.thorax) for side in (-1, 1)])


def thorax_axes(level: Any, scale: float = 1.0) -> tuple[Any, Any]:
    """Return the half-axes (lateral, sagittal) of the inner rib cage at one or several levels, units."""
    at = (0.0, 0.12, 0.30, 0.50, 0.80, 1.0)
    lateral = np.interp(level, at, (0.31, 0.40, 0.50, 0.565, 0.60, 0.60))
    sagittal = np.interp(level, at, (0.20, 0.26, 0.33, 0.385, 0.415, 0.41))
    return lateral * scale, sagittal * scale


def grow_vessels(rng: np.random.Generator, side: int, thorax: float) -> np.ndarray:
    """Grow a branching vessel tree from the hilum through one lung.

    End points drawn uniformly in the lung are joined, from the hilum outwards, to a near point of the tree. The radius of a
    branch follows from the number of end points that it feeds, after Murray's law.

    Args:
        rng: random generator.
        side: -1 or 1, as in `Lesion`.
        thorax: scale of the rib cage.

    Returns:
        Segments, shape (NUM_VESSELS, 7), one per end point, as in `Patient.vessels`.
    """
    num = NUM_VESSELS
    level = rng.uniform(0.03, 1.0, num)
    lateral, sagittal = thorax_axes(level, thorax)
    radius, angle = np.sqrt(rng.uniform(0, 1, num)), rng.uniform(-np.pi / 2, np.pi / 2, num)
    ends = np.stack(
        [side * (0.05 + (lateral - 0.05) * radius * np.cos(angle)), sagittal * radius * np.sin(angle), level * HEIGHT], axis=1
    )
    root = np.array([side * 0.17, 0.02, 0.56 * HEIGHT])
    ends = ends[np.argsort(((ends - root) ** 2).sum(1))]
    nodes = np.concatenate([root[None], ends])
    gaps = cdist(nodes, nodes)
    way = np.zeros(num + 1)
    parent = np.zeros(num + 1, dtype=np.int64)
    for index in range(1, num + 1):
        gap = gaps[index, :index]
        # The distance back to the hilum counts a little too; otherwise branches meander.
        parent[index] = np.argmin(gap + 0.25 * way[:index])
        way[index] = way[parent[index]] + gap[parent[index]]
    feeds = np.ones(num + 1)
    for index in range(num, 0, -1):
        feeds[parent[index]] += feeds[index]
    width = 0.0013 * np.minimum(feeds[1:], 250.0) ** 0.48
    return np.concatenate([nodes[parent[1:]], nodes[1:], width[:, None]], axis=1)


def _covid_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Draw many rounded subpleural ground-glass patches in both lungs, more and larger towards the base."""
    lesions = []
    for side in (-1, 1):
        for angle in (-0.75, 0.0, 0.65, 1.25):  # far enough apart that patches stay separate
            level = rng.uniform(0.0, 0.2)
            while level < 1.0:
                half = rng.uniform(0.09, 0.2)
                if rng.random() < (0.6 if level + half < 0.45 else 0.85):
                    lower = 1.0 if level + half > 0.45 else 0.85
                    lesions.append(
                        Lesion(
                            side,
                            angle + rng.normal(0, 0.1),
                            rng.uniform(0.35, 0.65),
                            level + half,
                            half,
                            lower * rng.uniform(0.075, 0.135),
                            rng.uniform(1.05, 1.5),
                            bool(rng.random() < 0.3),
                            bool(rng.random() < 0.4),
                            0.0,
                            int(rng.integers(2**31)),
                        )
                    )
                level += 2 * half + rng.uniform(0.0, 0.1)
    return tuple(lesions)


def _cp_lesions(rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Draw one or two large consolidations near the bronchi, mostly in one lung."""
    side = -1 if rng.random() < 0.55 else 1
    angles = rng.permutation([rng.uniform(-0.9, -0.2), rng.uniform(0.35, 1.0)])
    count = 2 if rng.random() < 0.4 else 1
    lesions = []
    for index in range(count):
        other = index == 1 and rng.random() < 0.35
        lesions.append(
            Lesion(
                -side if other else side,
                float(angles[index]),
                rng.uniform(0.12, 0.4),
                rng.uniform(0.4, 0.75),
                rng.uniform(0.45, 0.8) if index == 0 else rng.uniform(0.2, 0.35),
                rng.uniform(0.135, 0.19) if index == 0 else rng.uniform(0.10, 0.14),
                rng.uniform(1.1, 1.55),
                True,
                False,
                rng.uniform(0.015, 0.03) if rng.random() < 0.4 else 0.0,
                int(rng.integers(2**31)),
            )
        )
    return tuple(lesions)


def make_patient(seed: int, number: int, label: int) -> Patient:
    """Make a phantom patient; the same arguments give the same patient.

    Args:
        seed: seed of the whole phantom, >= 0.
        number: number of the patient, >= 0.
        label: 0 Normal, 1 CP, 2 COVID-19.

    Raises:
        ValueError: if the seed or the number is negative, or the label is unknown.
    """
    if seed < 0 or number < 0:
        raise ValueError(f'seed and patient number must not be negative, got seed {seed} and number {number}')
    if label not in range(len(SLICE_CLASSES)):
        raise ValueError(f'label must be 0 (Normal), 1 (CP) or 2 (COVID-19), got {label!r}')
    rng = np.random.default_rng([seed, number, 0])
    thorax = rng.uniform(0.92, 1.06)
    # The disease has its own generator, so that the anatomy does not depend on the label.
    disease = np.random.default_rng([seed, number, 1])
    lesions = ((), _cp_lesions(disease), _covid_lesions(disease))[label] if label else ()
    return Patient(
        key=(seed, number),
        label=label,
        breadth=rng.uniform(0.94, 1.06) * thorax,
        depth=rng.uniform(0.94, 1.08) * thorax,
        thorax=thorax,
        heart=rng.uniform(0.88, 1.1),
        breast=max(0.0, rng.uniform(-0.10, 0.13)),
        muscle=rng.uniform(0.8, 1.25),
        tilt=rng.normal(0, 0.025),
        shift=(rng.normal(0, 0.02), rng.normal(0.0, 0.025)),
        outline=tuple(rng.normal(0, 1, 8)),
        rib_phase=rng.uniform(0, 1),
        bone=rng.uniform(0.85, 1.2),
        lung_hu=rng.uniform(-885, -845),
        table=rng.uniform(0.0, 1.0),
        lesions=lesions,
    )
