"""Sums over frames by a table made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.pets.cif_file import Frames, Listed
from dials_spread.pets.frame_orientations import TiltRun
from dials_spread.pets.rocking_curves import Verdict
from dials_spread.pets.summed_frames import are_narrow, sum_over_frames

# Six frames, the fourth 2° from the third; crossings 0 (whole), 1 (at the first frame), 2
# (on one side of the sphere only) and 3 (whole).
ALPHA = np.array([0.0, 1.0, 2.0, 4.0, 5.0, 6.0])
FRAME = np.array([1, 2, 3, 0, 1, 1, 2, 3, 4])
CROSSING = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3])
ERROR = np.array([-0.2, 0.1, 0.3, -0.1, 0.1, 0.1, 0.2, -0.1, 0.2])
INTENSITY = np.array([10.0, 20, 30, 5, 5, 5, 5, 7, 9])


def listed() -> Listed:
    """The lines above."""
    n = len(FRAME)
    return Listed(np.ones((n, 3), int), INTENSITY, np.full(n, 2.0), FRAME, {})


def frames() -> Frames:
    """The frames above."""
    zero = np.zeros(len(ALPHA))
    return Frames(np.arange(6), None, zero + 0.5, ALPHA, zero, zero, zero + 1)


def run() -> TiltRun:
    """All frames."""
    return TiltRun(np.arange(6), np.array([0, 1, 2, 4, 5, 6]), 0.0, 1.0, 0.0, 0.0)


def test_sums_are_those_of_a_table_by_hand():
    found, kept = sum_over_frames(listed(), CROSSING, ERROR, frames(), [run()], "made")
    # Distances of the frames: 1, 1, 4/3 (numpy weighs the nearer side more), ...
    apart = np.gradient(ALPHA) / np.median(np.gradient(ALPHA))
    assert np.flatnonzero(kept).tolist() == [1, 7]
    first = 10 * apart[1] + 20 * apart[2] + 30 * apart[3]
    assert found.intensity[1] == pytest.approx(first)
    assert found.sigma[1] == pytest.approx(2 * np.sqrt(np.sum(apart[1:4] ** 2)))
    assert found.intensity[7] == pytest.approx(7 * apart[3] + 9 * apart[4])


def test_where_nothing_is_whole_that_is_told():
    with pytest.raises(ValueError, match="none of 4 crossings .* sum_frames=False"):
        sum_over_frames(listed(), CROSSING, np.abs(ERROR), frames(), [run()], "made")


def verdict(kind: str = "rotation", partial: bool = True) -> Verdict:
    """Without a curve."""
    return Verdict(kind, partial, 0, np.empty(0), np.empty(0))


def test_frames_are_narrow_where_intensity_is_outside_of_their_range():
    wide, narrow = np.full(len(FRAME), 0.5), np.full(len(FRAME), 2.5)
    assert are_narrow(verdict(), CROSSING, narrow, listed())
    assert not are_narrow(verdict(), CROSSING, wide, listed())
    for one in (verdict("precession"), verdict("one intensity", False)):
        assert not are_narrow(one, CROSSING, narrow, listed())
