"""
The counts of one frame.

Functions:
    count_frame: annulus and disc of one frame
    ring_level: the mean over an annulus from the means of its rings
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dxtbx.model import Detector

from dials_spread.beam.regions import PanelPixels
from dials_spread.beam.spots import SpotBoxes, covered

ROUNDS = 2
"""Times that pixels above the others at their radius are looked for."""

CENTRAL = (15.87, 84.13)
"""Percentiles one standard deviation below and above the middle of a normal one."""

PIXELS_FOR_NOISE = 50_000
"""Pixels that tell how noisy the background is, where there are more."""


@dataclass(frozen=True)
class Trusted:
    """
    Which counts of a panel are to be trusted.

    Attributes:
        low, high: Trusted range [counts].
        low_in, high_in: Whether its ends belong to it; DIALS releases differ.
        gain: [counts per quantum].
        pedestal: [counts].
    """

    low: float
    high: float
    low_in: bool
    high_in: bool
    gain: float
    pedestal: float

    def saturated(self, counts: np.ndarray) -> np.ndarray:
        """Shape (n,), bool: above the range."""
        return counts > self.high if self.high_in else counts >= self.high

    def below(self, counts: np.ndarray) -> np.ndarray:
        """Shape (n,), bool: below the range."""
        return counts < self.low if self.low_in else counts <= self.low


def trusted_ranges(detector: Detector) -> list[Trusted]:
    """Ask each panel what it trusts, with its own idea of whether ends belong."""
    ranges = []
    for panel in detector:
        low, high = panel.get_trusted_range()
        ranges.append(
            Trusted(
                low=low,
                high=high,
                low_in=panel.is_value_in_trusted_range(low),
                high_in=panel.is_value_in_trusted_range(high),
                gain=panel.get_gain() or 1.0,
                pedestal=panel.get_pedestal(),
            )
        )
    return ranges


@dataclass(frozen=True)
class FrameCounts:
    """
    What one frame says about the beam, in quanta (counts less pedestal, over gain).

    Attributes:
        total: Sum over the pixels of the annulus that are left.
        pixels: Their number.
        level: Mean over the annulus as if no pixel of it were missing.
        in_spots: Pixels of the annulus that spots cover.
        untrusted: Masked, or out of the trusted range.
        rejected: Far above the others at their radius.
        disc: Shape (m,), the direct beam pixel by pixel; nan where not trusted.
        disc_saturated: Shape (m,), bool.
    """

    total: float
    pixels: int
    level: float
    in_spots: int
    untrusted: int
    rejected: int
    disc: np.ndarray
    disc_saturated: np.ndarray


def ring_level(sums: np.ndarray, counts: np.ndarray, full: np.ndarray) -> float:
    """
    Give the mean over an annulus from what is left of its rings.

    Args:
        sums: Shape (rings,), over the pixels left in each.
        counts: Shape (rings,), how many these are.
        full: Shape (rings,), how many there are on the detector.

    Returns:
        The mean of the rings' means with all their pixels as weights; rings without a
        pixel have no say. nan where none has any.
    """
    has = counts > 0
    if not has.any():
        return np.nan
    return float(np.sum(full[has] * sums[has] / counts[has]) / full[has].sum())


def reject_above(
    values: np.ndarray, ring: np.ndarray, valid: np.ndarray, sigmas: float
) -> np.ndarray:
    """
    Find pixels far above the others at their radius: spots that nobody predicted.

    Counts have a long tail where they are few; their square roots have not, and the
    same noise at all radii: standard deviation 1/2 for quanta, which is the least that
    is assumed. It is taken from percentiles, so that spots have no say in it.

    Args:
        values: Shape (n,), quanta.
        ring: Shape (n,), int.
        valid: Shape (n,), bool: pixels that are looked at.
        sigmas: Standard deviations; 0 finds nothing.

    Returns:
        Shape (n,), bool.
    """
    rejected = np.zeros(len(values), dtype=bool)
    if not sigmas > 0 or not valid.any():
        return rejected
    n_rings = int(ring.max()) + 1
    root = np.sqrt(np.maximum(values, 0))
    for _ in range(ROUNDS):
        use = valid & ~rejected
        n = np.maximum(np.bincount(ring[use], minlength=n_rings), 1)
        level = np.bincount(ring[use], root[use], minlength=n_rings) / n
        above = root - level[ring]
        some = np.flatnonzero(use)[:: len(root) // PIXELS_FOR_NOISE + 1]
        low, high = np.percentile(above[some], CENTRAL)
        rejected |= valid & (above > sigmas * max(0.5 * (high - low), 0.5))
    return rejected


def _gather(
    panels: Sequence[np.ndarray],
    places: list[np.ndarray],
    ranges: Sequence[Trusted],
    masks: Sequence[np.ndarray | None],
):
    """Quanta of the wanted pixels of all panels, and what is wrong with them."""
    values, untrusted, saturated = [], [], []
    for data, own, trusted, mask in zip(panels, places, ranges, masks):
        raw = data.ravel()[own].astype(float)
        high = trusted.saturated(raw)
        wrong = high | trusted.below(raw) | ~np.isfinite(raw)
        if mask is not None:
            wrong |= ~mask.ravel()[own]
        values.append((raw - trusted.pedestal) / trusted.gain)
        untrusted.append(wrong)
        saturated.append(high)
    return map(np.concatenate, (values, untrusted, saturated))


def count_frame(
    panels: Sequence[np.ndarray],
    pixels: Sequence[PanelPixels],
    ranges: Sequence[Trusted],
    masks: Sequence[np.ndarray | None],
    boxes: SpotBoxes,
    reject: float,
    margin: int,
) -> FrameCounts:
    """
    Count the quanta in annulus and disc.

    Args:
        panels: Raw counts of each panel, shape (slow, fast).
        pixels: Of the regions, one for each panel.
        ranges: Trusted range, gain and pedestal of each panel.
        masks: For each panel shape (slow, fast), True where a pixel is good; or None.
        boxes: Of the spots on this frame.
        reject: As BeamRegion.reject.
        margin: As BeamRegion.margin.

    Returns:
        The counts.
    """
    ring = np.concatenate([p.ring for p in pixels])
    n_rings = int(ring.max(initial=0)) + 1
    x, untrusted, _ = _gather(panels, [p.annulus for p in pixels], ranges, masks)
    spots = np.concatenate(
        [covered(boxes, k, p.annulus, p.width, margin) for k, p in enumerate(pixels)]
    )
    valid = ~untrusted & ~spots
    rejected = reject_above(x, ring, valid, reject)
    valid &= ~rejected
    full = np.bincount(ring, minlength=n_rings)
    sums = np.bincount(ring[valid], x[valid], minlength=n_rings)
    counts = np.bincount(ring[valid], minlength=n_rings)
    disc, bad, saturated = _gather(panels, [p.disc for p in pixels], ranges, masks)
    return FrameCounts(
        total=float(sums.sum()),
        pixels=int(counts.sum()),
        level=ring_level(sums, counts, full),
        in_spots=int((spots & ~untrusted).sum()),
        untrusted=int(untrusted.sum()),
        rejected=int(rejected.sum()),
        disc=np.where(bad, np.nan, disc).astype(np.float32),
        disc_saturated=saturated,
    )
