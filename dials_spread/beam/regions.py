"""
Which pixels tell how intense the beam is.

Two regions lie about the place where the beam meets the detector: an annulus, whose
background of inelastic and diffuse scattering rises and falls with the beam, and a disc
that holds the direct beam itself, where it is not saturated.

Functions:
    pixel_radii: distance of each pixel of a panel from the beam
    find_pixels: the pixels of the two regions on a detector
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dxtbx.model import Detector, Panel

UNITS = ("reciprocal_angstrom", "pixels")

PIXELS_PER_RING = 200
"""Enough for the mean of a ring to be known when spots cover a part of it."""

MOST_RINGS = 60

ROWS_AT_ONCE = 256
"""Rows of pixels whose positions are held in memory."""


@dataclass(frozen=True)
class BeamRegion:
    """
    What a user may choose about the regions.

    Attributes:
        annulus: Inner and outer radius.
        disc: Radius of the direct beam.
        unit: "reciprocal_angstrom": |s1 - s0| [Å⁻¹]; "pixels": distance on the panel
            from where the beam meets its plane.
        reject: Pixels of the annulus this many standard deviations above the others at
            their radius are left out: spots that nobody predicted. 0 keeps them.
        margin: Pixels left out around each spot's box.

    Raises:
        ValueError: The radii are not in order.
    """

    annulus: tuple[float, float] = (0.1, 0.5)
    disc: float = 0.03
    unit: str = "reciprocal_angstrom"
    reject: float = 6.0
    margin: int = 1

    def __post_init__(self) -> None:
        inner, outer = self.annulus
        if not 0 <= inner < outer:
            raise ValueError(
                f"The annulus of the beam goes from {inner:g} to {outer:g}: the first "
                "radius must be the smaller one"
            )
        if not self.disc >= 0:
            raise ValueError(f"The disc of the beam has the radius {self.disc:g}")
        if self.unit not in UNITS:
            raise ValueError(f"Radii are in {' or '.join(UNITS)}, not {self.unit}")

    def as_dict(self) -> dict:
        """Give the attributes by name."""
        return {**vars(self), "annulus": list(self.annulus)}


@dataclass(frozen=True)
class PanelPixels:
    """
    The pixels of one panel that count.

    Attributes:
        annulus: Shape (n,), places in the panel's flattened image, increasing.
        ring: Shape (n,), the ring of each, from 0 outwards.
        disc: Shape (m,), places in the flattened image, increasing.
        width: Pixels in a row.
        ring_sizes: Shape (rings,), pixels of the panel in each ring.
    """

    annulus: np.ndarray
    ring: np.ndarray
    disc: np.ndarray
    width: int
    ring_sizes: np.ndarray


def pixel_radii(
    panel: Panel, s0: np.ndarray, unit: str, first: int, stop: int
) -> np.ndarray:
    """
    Give the distance of pixel centres from the beam.

    Args:
        panel: Of a detector, lengths in mm.
        s0: Shape (3,) [Å⁻¹], the incident wave vector.
        unit: As BeamRegion.unit.
        first: First row (slow axis).
        stop: Row after the last.

    Returns:
        Shape (stop - first, fast) in that unit; infinite behind the crystal, and in
        pixels where the beam does not meet the plane of the panel.
    """
    n_fast = panel.get_image_size()[0]
    size = np.array(panel.get_pixel_size())
    x = (np.arange(n_fast) + 0.5) * size[0]
    y = (np.arange(first, stop) + 0.5)[:, None] * size[1]
    if unit == "pixels":
        # The columns of D⁻¹ are fast, slow and origin: s0 is along D⁻¹ (x, y, 1).
        ray = np.array(panel.get_D_matrix()).reshape(3, 3) @ s0
        if ray[2] <= 0:
            return np.full((stop - first, n_fast), np.inf)
        centre = ray[:2] / ray[2]
        return np.hypot((x - centre[0]) / size[0], (y - centre[1]) / size[1])
    # The chord between unit vectors along the beam and to origin + x fast + y slow,
    # from sums over rows and columns: detectors have millions of pixels.
    fast, slow = np.array(panel.get_fast_axis()), np.array(panel.get_slow_axis())
    origin, wave_number = np.array(panel.get_origin()), np.linalg.norm(s0)
    beam = np.asarray(s0) / wave_number
    on_row, on_column = x * (x + 2 * origin @ fast), y * (y + 2 * origin @ slow)
    squared = on_row + on_column + (origin @ origin)
    skew = 2 * fast @ slow
    if abs(skew) > 1e-12:
        squared = squared + skew * x * y
    along = x * (fast @ beam) + (y * (slow @ beam) + origin @ beam)
    cosine = along / np.sqrt(squared)
    radius = wave_number * np.sqrt(np.maximum(2 - 2 * cosine, 0))
    return np.where(along > 0, radius, np.inf)


def _of_panel(panel: Panel, s0: np.ndarray, region: BeamRegion):
    """Places and radii in the annulus, and places in the disc."""
    n_slow = panel.get_image_size()[1]
    inner, outer = region.annulus
    found, radii, disc = [], [], []
    for first in range(0, n_slow, ROWS_AT_ONCE):
        stop = min(first + ROWS_AT_ONCE, n_slow)
        radius = pixel_radii(panel, s0, region.unit, first, stop)
        offset = first * radius.shape[1]
        radius = radius.ravel()
        inside = np.flatnonzero((radius >= inner) & (radius < outer))
        found.append(inside + offset)
        radii.append(radius[inside])
        disc.append(np.flatnonzero(radius < region.disc) + offset)
    return np.concatenate(found), np.concatenate(radii), np.concatenate(disc)


def find_pixels(
    detector: Detector, s0: np.ndarray, region: BeamRegion
) -> list[PanelPixels]:
    """
    Find the pixels of annulus and disc on a detector of any number of panels.

    The annulus is cut into rings, because its background falls steeply with the radius:
    the mean of what spots leave of it would depend on where they are.

    Args:
        detector: Lengths in mm.
        s0: Shape (3,) [Å⁻¹].
        region: Radii.

    Returns:
        One for each panel.

    Raises:
        ValueError: The annulus misses the detector.
    """
    parts = [
        _of_panel(panel, np.asarray(s0, dtype=float), region) for panel in detector
    ]
    n = sum(len(places) for places, _, _ in parts)
    if not n:
        raise ValueError(
            f"No pixel is between {region.annulus[0]:g} and {region.annulus[1]:g} "
            f"{region.unit.replace('_', ' ')} of the beam: the beam centre is off the "
            "detector, or the radii do not fit"
        )
    inner, outer = region.annulus
    n_rings = int(np.clip(n // PIXELS_PER_RING, 1, MOST_RINGS))
    pixels = []
    for panel, (places, radius, disc) in zip(detector, parts):
        ring = (n_rings * (radius - inner) / (outer - inner)).astype(np.int16)
        ring = np.minimum(ring, n_rings - 1)
        pixels.append(
            PanelPixels(
                annulus=places,
                ring=ring,
                disc=disc,
                width=panel.get_image_size()[0],
                ring_sizes=np.bincount(ring, minlength=n_rings),
            )
        )
    return pixels
