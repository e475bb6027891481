"""
The counts of one frame.

Functions:
    count_frame: annulus and disc of one frame
    ring_level: the mean over an annulus from the means of its rings
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np

from dxtbx.model import Detector

from dials_spread.beam.regions import PanelPixels
from dials_spread.beam.spots import SpotBoxes, covered

ROUNDS = 2
"""Times that pixels above the others at their radius are looked for."""

CENTRAL = (15.87, 84.13)
"""Percentiles one standard deviation below and above the middle of a normal one."""

REJECTED = 3
"""Marks a pixel far above the others; 0 is a good one, 1 untrusted, 2 in a spot."""

PIXELS_FOR_NOISE = 10_000
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
    state = (~valid).astype(np.uint8)
    if sigmas > 0 and valid.any():
        _reject_rounds(values, ring, state, int(ring.max()) + 1, sigmas)
    return state == REJECTED


def _reject_rounds(values, ring, state, n_rings: int, sigmas: float) -> None:
    """Mark what is far above, in rounds, because it raises the level of its ring."""
    some = np.arange(0, len(values), len(values) // PIXELS_FOR_NOISE + 1)
    for _ in range(ROUNDS):
        n, _, roots = _ring_sums(values, ring, state, n_rings)
        level = roots / np.maximum(n, 1)
        tried = some[state[some] == 0]
        if not len(tried):
            return
        root = np.sqrt(np.maximum(values[tried], 0))
        low, high = np.percentile(root - level[ring[tried]], CENTRAL)
        limit = sigmas * max(0.5 * (high - low), 0.5)
        _reject(values, ring, state, level + limit)


@nb.njit(cache=True, nogil=True)
def _ring_sums(values, ring, state, n_rings):
    """Number, sum, and sum of the square roots of the good pixels of each ring."""
    n = np.zeros(n_rings, dtype=np.int64)
    sums, roots = np.zeros(n_rings), np.zeros(n_rings)
    for i in range(len(values)):
        if state[i] == 0:
            k = ring[i]
            n[k] += 1
            sums[k] += values[i]
            roots[k] += np.sqrt(max(values[i], 0.0))
    return n, sums, roots


@nb.njit(cache=True, nogil=True)
def _reject(values, ring, state, limit):
    """Mark good pixels whose square root is above the limit of their ring."""
    for i in range(len(values)):
        if state[i] == 0 and values[i] > limit[ring[i]] ** 2:
            state[i] = REJECTED


def _gather(
    panels: Sequence[np.ndarray],
    places: list[np.ndarray],
    ranges: Sequence[Trusted],
    masks: Sequence[np.ndarray | None],
):
    """Quanta of the wanted pixels of all panels, and what is wrong with them."""
    values, untrusted, saturated = [], [], []
    for data, own, trusted, mask in zip(panels, places, ranges, masks):
        raw = data.ravel()[own]
        high = trusted.saturated(raw)
        wrong = high | trusted.below(raw)
        if raw.dtype.kind == "f":
            wrong |= ~np.isfinite(raw)
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
    # Untrusted pixels in spots count as untrusted.
    state = np.where(untrusted, np.uint8(1), 2 * spots.astype(np.uint8))
    if reject > 0:
        _reject_rounds(x, ring, state, n_rings, reject)
    counts, sums, _ = _ring_sums(x, ring, state, n_rings)
    marks = np.bincount(state, minlength=REJECTED + 1)
    disc, bad, saturated = _gather(panels, [p.disc for p in pixels], ranges, masks)
    return FrameCounts(
        total=float(sums.sum()),
        pixels=int(counts.sum()),
        level=ring_level(sums, counts, np.bincount(ring, minlength=n_rings)),
        in_spots=int(marks[2]),
        untrusted=int(marks[1]),
        rejected=int(marks[REJECTED]),
        disc=np.where(bad, np.nan, disc).astype(np.float32),
        disc_saturated=saturated,
    )
