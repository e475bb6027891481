"""
The columns of the grid: cases with a known truth.

Each draws crystals from a pool and gives them counting noise and, where it says so,
factors, random errors, outliers or noisy reflections, by dials_spread's own simulation of a
measurement. What was put in is the truth.

COLUMNS: by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dials_spread.simulation.noise import NoiseModel
from known_truth import planted


def _noise(**values) -> NoiseModel:
    """Counts of a good measurement; nothing else differs unless it is asked for."""
    return NoiseModel(**{"mean_counts": 3000.0, "scale_spread": 0.0, **values})


@dataclass(frozen=True)
class Column:
    """
    A case.

    Attributes:
        pool: Of pools.POOLS.
        dynamical: With multiple scattering.
        crystals: How many are drawn.
        noise: Of the measurement.
        factor: Of each observation before it is counted, from planted; or None.
        change: Of experiments and tables afterwards, from planted; or None.
        unchanged: What change does must change no result.
        scaled: By dials.scale, before it is analysed.
        known_s: Whether noise alone says what s is.
        choices: Arguments of compare_images.
    """

    pool: str = "paracetamol"
    dynamical: bool = False
    crystals: int = 12
    noise: NoiseModel = field(default_factory=_noise)
    factor: Callable | None = None
    change: Callable | None = None
    unchanged: bool = False
    scaled: bool = False
    known_s: bool = True
    choices: dict = field(default_factory=dict)

    @property
    def null(self) -> bool:
        """Nothing depends on the orientation."""
        return not self.dynamical


TEN = _noise(extra_error=0.1)

COLUMNS = {
    "kinematic": Column(),
    "kinematic, 3 %": Column(noise=_noise(extra_error=0.03)),
    "kinematic, 10 %": Column(noise=TEN),
    "kinematic, 30 %": Column(noise=_noise(extra_error=0.3)),
    "image factors": Column(noise=_noise(image_spread=0.15, extra_error=0.05)),
    "crystal factors": Column(noise=_noise(scale_spread=0.5, extra_error=0.05)),
    "image and crystal factors": Column(
        noise=_noise(scale_spread=0.5, image_spread=0.15, extra_error=0.05)
    ),
    "thin": Column("paracetamol, thin", True, noise=TEN),
    "normal": Column("paracetamol, many", True, noise=TEN),
    "thick": Column("paracetamol, thick", True, noise=TEN),
    "equal thickness": Column("paracetamol, equal", True, noise=TEN),
    "large cell": Column("abiraterone", True, 24, noise=TEN),
    "error grows with resolution": Column(
        factor=planted.error_by_resolution, known_s=False
    ),
    "error grows with intensity": Column(
        factor=planted.error_by_intensity, known_s=False
    ),
    "outliers": Column(noise=TEN, factor=planted.outliers, known_s=False),
    "noisy reflections": Column(
        crystals=24, noise=TEN, factor=planted.noisy_reflections, known_s=False
    ),
    "spoiled images": Column(noise=TEN, factor=planted.spoiled_images, known_s=False),
    "1 crystal": Column(crystals=1, noise=TEN),
    "3 crystals": Column(crystals=3, noise=TEN),
    "6 crystals": Column(crystals=6, noise=TEN),
    "40 crystals": Column("paracetamol, many", crystals=40, noise=TEN),
    "1 crystal, dynamical": Column("paracetamol, many", True, 1, noise=TEN),
    "3 crystals, dynamical": Column("paracetamol, many", True, 3, noise=TEN),
    "6 crystals, dynamical": Column("paracetamol, many", True, 6, noise=TEN),
    "40 crystals, dynamical": Column("paracetamol, many", True, 40, noise=TEN),
    "100 crystals": Column("paracetamol, many", crystals=100, noise=TEN),
    "100 crystals, dynamical": Column("paracetamol, many", True, 100, noise=TEN),
    "300 crystals, dynamical": Column("paracetamol, many", True, 300, noise=TEN),
    "fine slices": Column("fine slices", noise=TEN),
    "stills": Column(noise=TEN, change=planted.stills),
    "virtual frames": Column(crystals=6, noise=TEN, change=planted.virtual_frames),
    "chiral": Column("quartz", True, noise=TEN),
    "polar": Column("polar", True, noise=TEN),
    "cubic": Column("cubic", True, noise=TEN),
    "multiplicity 2": Column(noise=TEN, change=planted.short_scans),
    "multiplicity 70": Column("cubic", crystals=40, noise=TEN),
    "X-rays": Column("X-rays", noise=_noise(extra_error=0.03)),
    "scaled": Column(noise=TEN, scaled=True),
    "scaled, dynamical": Column("paracetamol, many", True, noise=TEN, scaled=True),
    "scaled, factors": Column(
        noise=_noise(scale_spread=0.5, image_spread=0.1, extra_error=0.1), scaled=True
    ),
    "other units": Column(noise=TEN, change=planted.other_units, unchanged=True),
    "other order": Column(noise=TEN, change=planted.other_order, unchanged=True),
    "equivalent setting": Column(
        noise=TEN, change=planted.equivalent_setting, unchanged=True
    ),
    "axes exchanged": Column(
        "nearly tetragonal", crystals=4, noise=_noise(extra_error=0.05),
        change=planted.axes_exchanged, known_s=False,
    ),
}  # fmt: skip
"""Cases by name."""
