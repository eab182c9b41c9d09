"""Drawing of a slice and its mask: a patient at a level, with scanner, reconstruction noise and grey-level window."""

from dataclasses import dataclass

import cv2
import numpy as np

from .anatomy import draw_chest
from .lesions import draw_lesions
from .patient import Patient

MIN_SIZE = 64


@dataclass(frozen=True)
class Scanner:
    """Properties in which slices of different hospitals differ.

    Attributes:
        window_level: HU shown as middle grey.
        window_width: HU from black to white.
        noise: standard deviation of the noise in soft tissue, HU.
        blur: standard deviation of the reconstruction's smoothing, in pixels at 512 x 512.
        grain: standard deviation of the Gaussian that correlates the noise, in pixels.
        zoom: magnification of the field of view.
        circle: whether the reconstruction circle is visible (black corners).
    """

    window_level: float
    window_width: float
    noise: float
    blur: float
    grain: float
    zoom: float
    circle: bool

    @property
    def black(self) -> float:
        """HU shown as black."""
        return self.window_level - self.window_width / 2


CNCB_SCANNER = Scanner(window_level=-600, window_width=1500, noise=24, blur=0.75, grain=0.6, zoom=1.1, circle=True)
ICTCF_SCANNER = Scanner(window_level=-500, window_width=1600, noise=36, blur=1.1, grain=0.9, zoom=1.3, circle=False)


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return smooth noise, float32, shape (size, size), mean 0, variance near 1, with `cells` cells across at any size."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(1.3)


def draw_slice(
    patient: Patient, level: float, size: int = 512, scanner: Scanner = CNCB_SCANNER, lesions: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one slice of a patient; the same arguments give the same pixels.

    Args:
        patient: the patient.
        level: 0 (lung apex) to 1 (lung base). Neighbouring levels show the same anatomy and the same lesions.
        size: side length of the image, pixels.
        scanner: appearance of the image.
        lesions: False draws the same patient without disease.

    Returns:
        The image, uint8, shape (size, size), in the scanner's window, and the mask, uint8, shape (size, size): 0 background,
        1 lung, 2 ground-glass opacity, 3 consolidation.

    Raises:
        ValueError: if the level is not within 0..1, or the size is below 64.
    """
    hu, mask = draw_hounsfield(patient, level, size, scanner, lesions)
    grey = (hu - scanner.black) * (255 / scanner.window_width)
    return np.clip(np.round(grey), 0, 255).astype(np.uint8), mask


def draw_hounsfield(
    patient: Patient, level: float, size: int = 512, scanner: Scanner = CNCB_SCANNER, lesions: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the slice that :func:`draw_slice` shows in a window, with the same arguments.

    Returns:
        Hounsfield units, float32, shape (size, size), and the mask.

    Raises:
        ValueError: as for :func:`draw_slice`.
    """
    if not 0.0 <= level <= 1.0:
        raise ValueError(f'level must be between 0 (lung apex) and 1 (lung base), not {level}')
    if size < MIN_SIZE:
        raise ValueError(f'size must be at least {MIN_SIZE} pixels, not {size}')
    rng = np.random.default_rng([*patient.key, 2, int(round(level * 10000))])
    texture, grain = _noise(rng, size, 24), _noise(rng, size, 90)
    canvas, lungs = draw_chest(patient, level, size, scanner.zoom, texture)
    mask = draw_lesions(canvas, patient, level, lungs, texture, grain) if lesions else lungs.astype(np.uint8)
    hu = cv2.GaussianBlur(canvas.hu, (0, 0), max(0.35, scanner.blur * size / 512))
    white = cv2.GaussianBlur(rng.standard_normal((size, size), dtype=np.float32), (0, 0), scanner.grain)
    # Blurring white noise with sigma divides its standard deviation by 2 sqrt(pi) sigma. Noise is higher towards the centre,
    # which fewer photons reach.
    across = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    gain = (scanner.noise * 2 * np.pi**0.5 * scanner.grain) * (1.15 - 0.35 * (across[:, None] + across[None]))
    hu += white * gain
    if scanner.circle:
        hu[across[:, None] + across[None] > 0.995] = scanner.black
    return hu, mask
