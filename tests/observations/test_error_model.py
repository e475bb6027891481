"""σ before dials.scale: tables by hand, measured ones, and two units of intensity."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.correction.apply.one_table import apply_factors
from dials_spread.input_files import read_files
from dials_spread.observations import Observations, build_observations
from dials_spread.observations.error_model import counting_errors
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.spread.analysis import SpreadChoices, analyse_spread
from dials_spread.spread.size.rejected import without_outliers

A, B, SCALE, LP = 1.3, 0.02, 0.8, 0.5
INTENSITY = np.array([100.0, 1000.0, 3000.0])
SIGMA = np.array([4.0, 5.0, 2.0])
F = np.array([0.1, 0.0, 0.05])


def scaled_table(intensity=INTENSITY):
    """Profile-fitted with an lp, scaled by hand as dials.scale does it."""
    table = flex.reflection_table()
    columns = {
        "intensity.prf.value": INTENSITY / LP,
        "intensity.prf.variance": (SIGMA / LP) ** 2,
        "lp": np.full(3, LP),
        "intensity.scale.value": intensity,
        "intensity.scale.variance": A**2 * (SIGMA**2 + (B * intensity) ** 2) * (1 + F),
        "inverse_scale_factor": np.full(3, SCALE),
        "inverse_scale_factor_variance": (F * SCALE) ** 2,
    }
    for name, values in columns.items():
        table[name] = flex.double(values)
    table["flags"] = flex.size_t(3, int(flex.reflection_table.flags.integrated_prf))
    return table


class Observed(SimpleNamespace):
    """What of observations matters here."""

    by_crystal = Observations.by_crystal

    def __len__(self):
        return len(self.variance)


def counted(table, parameters=(A, B)):
    settings = {} if parameters is None else {"error_model_parameters": parameters}
    experiment = SimpleNamespace(scaling_model=SimpleNamespace(configdict=settings))
    variance = table["intensity.scale.variance"].as_numpy_array() / SCALE**2
    observations = Observed(
        scaled=True, crystal=np.zeros(3, dtype=int), row=np.arange(3), variance=variance
    )
    return counting_errors(observations, [experiment], [table])


@pytest.mark.parametrize("parameters", [(A, B), (2.0, 0.5), None])
def test_the_variance_of_integration_needs_no_error_model(parameters):
    found = counted(scaled_table(), parameters)
    np.testing.assert_allclose(found.variance, (SIGMA / SCALE) ** 2)
    assert found.taken_from == {"integration": 3} and found.known


def test_combined_intensities_take_the_error_model_off():
    """Neither of the profile fit nor of the summation: V/(a²(1 + f)) - (bI)²."""
    found = counted(scaled_table(INTENSITY * 1.01))
    np.testing.assert_allclose(found.variance, (SIGMA / SCALE) ** 2)
    assert found.taken_from == {"error model": 3}
    assert found.median == (A, B)
    assert found.scaling_limit == pytest.approx(1 / (A * B))


def test_what_is_not_known_stays():
    table = scaled_table(INTENSITY * 1.01)
    unknown = counted(table, None)
    written = table["intensity.scale.variance"].as_numpy_array() / SCALE**2
    np.testing.assert_array_equal(unknown.variance, written)
    assert unknown.taken_from == {"as written": 3} and not unknown.known
    # Of another run: nothing would be left of the strong ones.
    other = counted(table, (A, 0.3))
    np.testing.assert_array_equal(other.variance[1:], written[1:])
    assert other.taken_from["as written"] >= 2


@pytest.mark.parametrize("intensity", [INTENSITY, INTENSITY * 1.01])
def test_a_correction_since_keeps_the_part_of_counting(intensity):
    factor = np.array([0.5, 1.5, 1.0])
    offset = np.array([0.0, 900.0, 0.0])
    corrected = apply_factors(scaled_table(intensity), factor, True, offset=offset)
    found = counted(corrected)
    np.testing.assert_allclose(found.variance, (factor * SIGMA / SCALE) ** 2)


def test_both_ways_agree_on_measured_data(read_measured):
    """Quartz, of DIALS 3.12: a = 2.68, b = 0 and f up to 9 %."""
    experiments, tables = read_measured("quartz/scaled")
    observations = build_observations([*experiments], tables)
    one = counting_errors(observations, experiments, tables)
    assert np.isnan(one.scaling_limit)
    for kind in ("prf", "sum"):
        del tables[0][f"intensity.{kind}.value"]
    other = counting_errors(observations, experiments, tables)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-6)
    assert one.taken_from == {"integration": len(observations)}
    assert other.taken_from == {"error model": len(observations)}


def test_the_variance_of_integration_comes_first(read_measured):
    """L-cysteine, of an older release, which put the error model into V twice."""
    experiments, tables = read_measured("l_cysteine/scaled_30")
    observations = build_observations([*experiments], tables)
    found = counting_errors(observations, experiments, tables)
    assert found.taken_from["integration"] > 0.99 * len(observations)
    # a = 1.00772, b = 0.05261 in the file.
    assert found.scaling_limit == pytest.approx(18.861, abs=0.01)
    a, b = found.median
    rows = observations.row
    scale, over = (
        tables[0][name].as_numpy_array()[rows]
        for name in ("inverse_scale_factor", "inverse_scale_factor_variance")
    )
    relative = (b * observations.intensity) ** 2
    twice = a**2 * (a**2 * (found.variance + relative) + relative)
    twice *= 1 + np.sqrt(over) / scale
    assert np.median(observations.variance / twice) == pytest.approx(1, abs=0.01)


@pytest.fixture
def simulated_10_percent(small_structure, tmp_path):
    """Three kinematic crystals with an error of 10 % on each observation."""
    noise = NoiseModel(mean_counts=3000.0, scale_spread=0.3, extra_error=0.1)
    experiments, reflections = simulate_experiments(
        small_structure,
        np.random.default_rng(4),
        n_crystals=3,
        d_min=1.2,
        scan_width=50.0,
        wave="kinematic",
        noise=noise,
    )
    expt, refl = tmp_path / "simulated.expt", tmp_path / "simulated.refl"
    experiments.as_file(expt)
    reflections.as_file(refl)
    return expt, refl


def run(*words):
    """Run a program of DIALS in the same environment."""
    module = {"dials.scale": "dials.command_line.scale"}[words[0]]
    code = f"from {module} import run; run()"
    subprocess.run(
        [sys.executable, "-c", code, *words[1:]], check=True, capture_output=True
    )


@pytest.mark.long
@pytest.mark.slow
def test_units_of_intensity_do_not_matter(tmp_path, monkeypatch, simulated_10_percent):
    """A relative error of 10 %, scaled by dials.scale in two units of intensity."""
    expt, refl = simulated_10_percent
    found, models = [], []
    monkeypatch.chdir(tmp_path)
    for unit in (1.0, 0.01):
        table = flex.reflection_table.from_file(str(refl))
        for kind in ("prf", "sum"):
            table[f"intensity.{kind}.value"] *= unit
            table[f"intensity.{kind}.variance"] *= unit**2
        table.as_file("unit.refl")
        quick = ("model=KB", "full_matrix=False", "output.html=None")
        run("dials.scale", str(expt), "unit.refl", *quick)
        experiments = ExperimentListFactory.from_json_file("scaled.expt", False)
        models.append(experiments[0].scaling_model.configdict["error_model_parameters"])
        found.append(measured_size(["scaled.expt"], ["scaled.refl"]))
    for s, low, high, robust in found:
        assert low < 0.1 < high
        assert robust == pytest.approx(0.1, abs=0.01)
        assert s == pytest.approx(found[0][0], abs=0.002)
    # The error models differ, or there would be nothing to see.
    assert abs(np.subtract(*models)).max() > 0.5


def measured_size(expt, refl):
    """As dials.compare_images does it: s, its interval, the robust twin."""
    data = read_files(expt, refl)
    given = build_observations(data.experiments, data.tables, keep_outliers=True)
    counting = counting_errors(given, data.experiments, data.tables)
    given, counting, _ = without_outliers(given, counting, data.tables)
    found = analyse_spread(
        given,
        counting,
        np.ones(given.n_experiments),
        SpreadChoices(True, False, False, False, False),
        np.random.default_rng(0),
    )
    names = ("s", "s_low", "s_high", "s_robust")
    return tuple(float(getattr(found.size.overall, name)[0]) for name in names)
