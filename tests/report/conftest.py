"""Inputs for the report: a small comparison made by hand, and two measured ones."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def three_spots():
    """A pair with three common reflections; the last has no other observation."""
    from dials_spread.pairs import SpotComparison

    nan = np.nan
    return SpotComparison(
        image_a=0,
        image_b=2,
        miller_index=np.array([[1, 0, 0], [0, 2, -1], [3, 1, 1]]),
        d_spacing=np.array([10.0, 4.0, 2.5]),
        intensity_a=np.array([100.0, 50.0, -2.0]),
        sigma_a=np.array([5.0, 4.0, 3.0]),
        intensity_b=np.array([110.0, 40.0, 1.0]),
        sigma_b=np.array([6.0, 5.0, 4.0]),
        z=np.array([-1.28, 1.56, -0.6]),
        background_n=np.array([3, 1, 0]),
        background_mean=np.array([90.0, 300.0, nan]),
        background_median=np.array([80.0, 300.0, nan]),
        background_sd=np.array([20.0, nan, nan]),
        percentile_a=np.array([66.7, 0.0, nan]),
        percentile_b=np.array([100.0, 0.0, nan]),
        merged_mean=np.array([95.0, 120.0, -0.9]),
        background_spot=np.array([0, 0, 0, 1]),
        background_intensity=np.array([70.0, 80.0, 120.0, 300.0]),
        position_a=np.array([[0.1, 0.0], [0.2, 0.15], [-0.3, 0.25]]),
        position_b=np.array([[0.1, 0.01], [0.2, 0.15], [-0.3, 0.25]]),
        spots_a=np.array([[0.1, 0.0], [0.2, 0.15], [-0.3, 0.25], [0.5, 0.1]]),
        spots_b=np.array([[0.1, 0.01], [0.2, 0.15], [-0.3, 0.25]]),
        turn=np.eye(2),
    )


@pytest.fixture(scope="session")
def electrons(read_measured):
    """The comparison of crystals of abiraterone acetate, frame by frame."""
    from dials_spread.comparison import Matching, compare_images

    experiments, tables = read_measured("abiraterone/integrated")
    return compare_images(
        [*experiments], tables, matching=Matching(min_common=8), image_width=0
    )


@pytest.fixture(scope="session")
def raw_electrons(read_measured):
    """One crystal of cinchonine with its raw frames, compared with itself."""
    from dials_spread.comparison import Matching, compare_images

    experiments, tables = read_measured("cinchonine_images/integrated")
    matching = Matching(min_common=4, exclude_same_crystal=False)
    return compare_images([*experiments], tables, matching=matching, n_pairs_shown=1)


@pytest.fixture
def parts(electrons):
    """What the page is made of, without pictures: arguments by name."""
    return SimpleNamespace(
        observations=electrons.observations,
        operators=electrons.incidence.operators,
        matches=electrons.matches,
        agreement=electrons.agreement,
        spots=electrons.spots[:2],
    )


@pytest.fixture
def undefined(parts):
    """The same with all statistics undefined."""
    n = len(parts.matches)
    names = vars(parts.agreement)
    nothing = replace(parts.agreement, **{k: np.full(n, np.nan) for k in names})
    return SimpleNamespace(**{**vars(parts), "agreement": nothing})
