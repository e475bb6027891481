"""X-rays and electrons; too little data."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.observations import build_observations
from dials_spread.observations.error_model import counting_errors
from dials_spread.pairs import crystal_scales
from dials_spread.spread.analysis import SpreadChoices, analyse_spread
from dials_spread.spread.sources.components import SOURCES

QUICK = SpreadChoices(normality=False, max_pairs=2_000_000)


def analyse(experiments, tables, choices=QUICK, **settings):
    observations = build_observations([*experiments], tables, **settings)
    scales = crystal_scales(observations)
    rng = np.random.default_rng(0)
    counting = counting_errors(observations, experiments, tables)
    return analyse_spread(observations, counting, scales, choices, rng)


@pytest.fixture(scope="module")
def abiraterone(read_measured):
    return read_measured("abiraterone/integrated")


def replaced(tables, name):
    """The tables with other intensities, those of each crystal on its scale."""
    changed = []
    for table in tables:
        table = table.copy()
        new, old = (table[n].as_numpy_array() for n in (name, "intensity.prf.value"))
        lp = table["lp"].as_numpy_array() if "lp" in table else np.ones(len(table))
        new = np.nan_to_num(new) / lp
        table["intensity.prf.value"] = flex.double(new * old.sum() / new.sum())
        changed.append(table)
    return changed


@pytest.mark.slow
def test_electrons_depend_on_the_orientation(abiraterone):
    found = analyse(*abiraterone, image_width=0)
    orientation = found.components.orientation
    assert orientation.share_low > 0.05
    assert orientation.share > 0.3
    main = found.variograms.main
    assert main.opposite_alike
    assert main.sill[0] > 3 * main.nugget[0]
    assert 0.5 < main.range[0] < 4
    assert main.grows
    assert found.size.overall.crystals[0] == 6
    shares = [getattr(found.components, source).share for source in SOURCES]
    assert np.nansum(shares) == pytest.approx(1)
    # The crystals were put on one scale before, which is no part of the spread then.
    assert np.isnan(found.components.crystal.share)
    assert "each crystal was put on its own scale" in found.components.crystal.reason


@pytest.mark.slow
def test_without_multiple_scattering_nothing_depends_on_the_orientation(abiraterone):
    experiments, tables = abiraterone
    kinematic = analyse(
        experiments, replaced(tables, "jana.intensity_kin"), image_width=0
    )
    assert kinematic.components.orientation.share == pytest.approx(0, abs=0.02)
    # The noise is not in these intensities: they agree to better than it.
    assert kinematic.s == pytest.approx(0, abs=0.02)
    dynamical = analyse(
        experiments, replaced(tables, "jana.intensity_dyn"), image_width=0
    )
    assert dynamical.components.orientation.share > 0.3


@pytest.mark.slow
def test_x_rays_do_not_depend_on_the_orientation(read_measured):
    """Four sweeps of one crystal of L-cysteine, integrated, not scaled."""
    experiments, tables = [], []
    for name in ("20", "25", "30", "35"):
        part = read_measured(f"l_cysteine/{name}_integrated")
        experiments += [*part[0]]
        tables += part[1]
    found = analyse(experiments, tables)
    assert found.components.orientation.share_low == pytest.approx(0, abs=0.005)
    assert found.components.orientation_p_value > 0.05
    assert found.components.orientation.share < 0.1
    main = found.variograms.main
    near = main.gamma[(main.pairs > 50) & (main.high <= 5)]
    far = main.gamma[(main.pairs > 50) & (main.low >= 20)]
    assert np.median(near) == pytest.approx(np.median(far), rel=0.6)


@pytest.mark.slow
def test_one_crystal_has_no_interval_and_says_so(read_measured):
    found = analyse(*read_measured("quartz/scaled"))
    assert "There is one crystal: no interval" in found.size.reason
    assert np.isnan(found.size.overall.s_low[0])
    assert found.variograms.main.kind == "within crystals"
    assert found.components.crystal.reason.startswith("there is one crystal only")
    # 15 % come on top of the a = 2.7 that dials.scale gave σ; of integration, far more.
    assert 0.35 < found.s < 0.5


@pytest.mark.slow
def test_no_reflection_twice(read_measured):
    experiments, tables = read_measured("cunir_stills/integrated")
    experiments, tables = experiments[:1], tables[:1]
    counted = build_observations([*experiments], tables)
    different = np.unique(counted.unique, return_index=True)[1][:3]
    tables[0] = tables[0].select(flex.size_t(counted.row[different].astype(np.uint64)))
    found = analyse(experiments, tables)
    assert found.size is None
    assert "observed twice" in found.reasons["spread"]


@pytest.mark.slow
def test_parts_are_switched_off(read_measured):
    off = SpreadChoices(False, False, False, False, False)
    found = analyse(*read_measured("quartz/scaled"), choices=off)
    parts = (found.size, found.variograms, found.components, found.normality)
    assert parts == (None,) * 4
    assert set(found.reasons.values()) == {"switched off."}
    assert found.s > 0
