"""Where the counts of reflections fall, on the pixels and the frames of a scan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr

from dials.array_family import flex
from dxtbx.model.experiment_list import Experiment

# Half width to which a spot is drawn, in standard deviations: all but 6e-7 of it.
REACH = 5.0


class FrameSpots(NamedTuple):
    """
    The parts of spots on single frames, arrays of shape (m,).

    Attributes:
        rows: Row of the reflection.
        frames: Number of the frame in the scan, from zero.
        fractions: Part of the spot that is on it.
        rates: At which its electrons arrive, per electron of the whole spot, averaged
            over them [1/frame].
    """

    rows: np.ndarray
    frames: np.ndarray
    fractions: np.ndarray
    rates: np.ndarray

    def on(self, frame: int) -> FrameSpots:
        """Those on one frame."""
        here = self.frames == frame
        return FrameSpots(
            self.rows[here], self.frames[here], self.fractions[here], self.rates[here]
        )


def spot_crossings(
    experiment: Experiment, reflections: flex.reflection_table
) -> FrameSpots:
    """
    How spots divide over the frames of a scan.

    The rocking curve is a Gaussian in the angle times ζ, the factor by which rotation
    moves a reciprocal-lattice point towards the sphere: ζ = m2·e1, e1 along s1 × s0
    (Kabsch (2010), as for the partiality in DIALS). The square of a Gaussian, which
    gives the mean rate, is one of a width smaller by √2.

    Args:
        experiment: Its scan, goniometer, beam and profile model are used.
        reflections: With `s1` and `xyzcal.px`.
    """
    first, last = experiment.scan.get_array_range()
    sigma = rocking_sigma(experiment, reflections)
    z = reflections["xyzcal.px"].parts()[2].as_numpy_array() - first
    low = np.clip(np.floor(z - REACH * sigma), 0, last - first).astype(int)
    high = np.clip(np.ceil(z + REACH * sigma), 0, last - first).astype(int)
    rows = np.repeat(np.arange(len(z)), high - low)
    ends = np.cumsum(high - low)
    frames = np.arange(len(rows)) - (ends - high)[rows]
    before, after = ((frames + i - z[rows]) / sigma[rows] for i in (0, 1))
    fractions = ndtr(after) - ndtr(before)
    squares = ndtr(np.sqrt(2) * after) - ndtr(np.sqrt(2) * before)
    squares /= 2 * np.sqrt(np.pi) * sigma[rows]
    rates = np.divide(
        squares, fractions, out=np.zeros(len(rows)), where=fractions > 1e-12
    )
    return FrameSpots(rows, frames, fractions, rates)


def rocking_sigma(
    experiment: Experiment, reflections: flex.reflection_table
) -> np.ndarray:
    """Standard deviations of the rocking curves [frames], of shape (n,)."""
    e1 = np.cross(reflections["s1"].as_numpy_array(), experiment.beam.get_s0())
    e1 /= np.linalg.norm(e1, axis=1)[:, None]
    zeta = np.abs(e1 @ np.array(experiment.goniometer.get_rotation_axis()))
    width = abs(experiment.scan.get_oscillation()[1])
    # A perfect crystal flashes up, in a time that no frame can resolve.
    mosaicity = max(experiment.profile.sigma_m(deg=True), 1e-6)
    return mosaicity / (np.maximum(zeta, 1e-6) * width)


def spot_sigma(experiment: Experiment) -> float:
    """The standard deviation of a spot on the detector, by the profile model [pixels]."""
    panel = experiment.detector[0]
    divergence = np.deg2rad(experiment.profile.sigma_b(deg=True))
    return max(divergence * panel.get_distance() / panel.get_pixel_size()[0], 1e-3)


def beam_factors(
    experiment: Experiment, reflections: flex.reflection_table
) -> np.ndarray:
    """The beam intensity of each frame, of shape (n_frames,); 1 where nothing tells."""
    first, last = experiment.scan.get_array_range()
    z = reflections["xyzcal.px"].parts()[2].as_numpy_array()
    frame = np.floor(z).astype(int) - first
    within = (frame >= 0) & (frame < last - first)
    factors = np.ones(last - first)
    factor = reflections["truth.image_factor"].as_numpy_array()
    factors[frame[within]] = factor[within]
    return factors


def add_spots(
    frame: np.ndarray, x: np.ndarray, y: np.ndarray, counts: np.ndarray, sigma: float
) -> None:
    """
    Add Gaussian spots to a frame, integrated over each pixel.

    Args:
        frame: Expected counts of shape (slow, fast), changed in place.
        x, y: Centres along the fast and the slow axis, the first pixel reaching from 0
            to 1 [pixels], of shape (n,).
        counts: Of shape (n,). What falls beyond the edges is lost.
        sigma: Standard deviation [pixels].
    """
    reach = int(np.ceil(REACH * sigma))
    steps = np.arange(-reach, reach + 2)
    columns, rows = (np.floor(c).astype(int)[:, None] + steps for c in (x, y))
    along = np.diff(ndtr((columns - x[:, None]) / sigma), axis=1)
    across = np.diff(ndtr((rows - y[:, None]) / sigma), axis=1)
    values = counts[:, None, None] * across[:, :, None] * along[:, None, :]
    row = np.broadcast_to(rows[:, :-1, None], values.shape)
    column = np.broadcast_to(columns[:, None, :-1], values.shape)
    n_slow, n_fast = frame.shape
    inside = (row >= 0) & (row < n_slow) & (column >= 0) & (column < n_fast)
    np.add.at(frame, (row[inside], column[inside]), values[inside])
