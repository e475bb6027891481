"""
The counts of one frame.

Functions:
    count_frame: annulus and disc of one frame
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np

from dxtbx.model import Detector

from dials_spread.beam.regions import PanelPixels
from dials_spread.beam.rings import ring_ceilings, ring_level
from dials_spread.beam.spots import SpotBoxes, covered
from dials_spread.versions import trusts_lower_end

UNTRUSTED, IN_SPOT, REJECTED = 1, 2, 3
"""Marks of pixels; 0 is a good one, REJECTED far above the others at its radius."""

PIXELS_FOR_LEVELS = 20_000
"""Pixels that tell what is far above the others, where there are more."""


@dataclass(frozen=True)
class Trusted:
    """
    Which counts of a panel are to be trusted.

    Attributes:
        low, high: Trusted range [counts].
        low_in: Whether its lower end belongs to it; DIALS releases differ. The upper
            end never does: what stands there may have been more.
        gain: [counts per quantum].
        pedestal: [counts].
    """

    low: float
    high: float
    low_in: bool
    gain: float
    pedestal: float

    def saturated(self, counts: np.ndarray) -> np.ndarray:
        """Shape (n,), bool: above the range, or at its upper end."""
        return counts >= self.high

    def below(self, counts: np.ndarray) -> np.ndarray:
        """Shape (n,), bool: below the range."""
        return counts < self.low if self.low_in else counts <= self.low


def trusted_ranges(detector: Detector) -> list[Trusted]:
    """Ask each panel what it trusts."""
    ranges = []
    for panel in detector:
        low, high = panel.get_trusted_range()
        ranges.append(
            Trusted(
                low=low,
                high=high,
                low_in=trusts_lower_end(panel),
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


@nb.njit(cache=True, nogil=True)
def _sum_pixels(
    raw, places, ring, spots, good, limits, pedestal, gain, ceiling, marks, counts, sums
):
    """Add up the good pixels of a panel by rings, and count by marks what is not."""
    low, high, low_in = limits
    for i in range(len(places)):
        count = float(raw[places[i]])
        # Written so that nan is out of range.
        inside = (count > low or (low_in and count == low)) and count < high
        # Untrusted pixels in spots count as untrusted.
        if not inside or (len(good) and not good[places[i]]):
            marks[UNTRUSTED] += 1
        elif spots[i]:
            marks[IN_SPOT] += 1
        else:
            value, k = (count - pedestal) / gain, ring[i]
            if value > ceiling[k]:
                marks[REJECTED] += 1
            else:
                counts[k] += 1
                sums[k] += value


def _some_values(
    raw: np.ndarray,
    some: np.ndarray,
    spots: np.ndarray,
    trusted: Trusted,
    mask: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give the quanta of some pixels of a flattened panel, and whether they are good."""
    counts = raw[some]
    good = ~(trusted.saturated(counts) | trusted.below(counts) | spots)
    good &= np.isfinite(counts)
    if mask is not None:
        good &= mask.ravel()[some]
    return (counts - trusted.pedestal) / trusted.gain, good


def _ceiling(parts: Sequence[tuple], n_rings: int, reject: float) -> np.ndarray:
    """Give the ceilings of the rings from some pixels of all panels."""
    if not reject > 0:
        return np.full(n_rings, np.inf)
    step = sum(len(p.annulus) for _, p, *_ in parts) // PIXELS_FOR_LEVELS + 1
    some = [
        _some_values(raw, p.annulus[::step], covering[::step], trusted, mask)
        for raw, p, covering, trusted, mask in parts
    ]
    values, good = map(np.concatenate, zip(*some))
    ring = np.concatenate([p.ring[::step] for _, p, *_ in parts])
    return ring_ceilings(values[good], ring[good], n_rings, reject)


def _read_disc(
    panels: Sequence[np.ndarray],
    pixels: Sequence[PanelPixels],
    ranges: Sequence[Trusted],
    masks: Sequence[np.ndarray | None],
) -> tuple[np.ndarray, np.ndarray]:
    """Quanta of the disc's pixels of all panels, nan if not trusted; saturated ones."""
    values, saturated = [], []
    for data, own, trusted, mask in zip(panels, pixels, ranges, masks):
        raw = data.ravel()[own.disc]
        high = trusted.saturated(raw)
        wrong = high | trusted.below(raw)
        if mask is not None:
            wrong |= ~mask.ravel()[own.disc]
        quanta = (raw - trusted.pedestal) / trusted.gain
        values.append(np.where(wrong, np.nan, quanta).astype(np.float32))
        saturated.append(high)
    return np.concatenate(values), np.concatenate(saturated)


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
    raws = [panel.ravel() for panel in panels]
    spots = [
        covered(boxes, k, p.annulus, p.width, margin) for k, p in enumerate(pixels)
    ]
    parts = list(zip(raws, pixels, spots, ranges, masks))
    full = np.sum([p.ring_sizes for p in pixels], axis=0)
    ceiling = _ceiling(parts, len(full), reject)
    marks, counts = np.zeros(REJECTED + 1, dtype=int), np.zeros(len(full), dtype=int)
    sums = np.zeros(len(full))
    for raw, p, covering, trusted, mask in parts:
        limits = (trusted.low, trusted.high, trusted.low_in)
        usable = np.ones(0, dtype=bool) if mask is None else mask.ravel()
        _sum_pixels(
            raw, p.annulus, p.ring, covering, usable, limits, trusted.pedestal,
            trusted.gain, ceiling, marks, counts, sums,
        )  # fmt: skip
    disc, saturated = _read_disc(panels, pixels, ranges, masks)
    return FrameCounts(
        total=float(sums.sum()),
        pixels=int(counts.sum()),
        level=ring_level(sums, counts, full),
        in_spots=int(marks[IN_SPOT]),
        untrusted=int(marks[UNTRUSTED]),
        rejected=int(marks[REJECTED]),
        disc=disc,
        disc_saturated=saturated,
    )
