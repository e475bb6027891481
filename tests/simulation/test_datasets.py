from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.structures import random_structure


def column(table, name):
    return table[name].as_numpy_array()


def dials(folder, *command):
    """Run a DIALS program in a folder and insist on success."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH")
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert not done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def structure():
    return random_structure(np.random.default_rng(11))


def test_intensities_without_noise_are_cctbx_structure_factors(structure):
    _, reflections = simulate_experiments(
        structure,
        np.random.default_rng(1),
        n_crystals=3,
        noise=NoiseModel(counting=False),
    )
    calculated = structure.structure_factors(
        d_min=0.89, anomalous_flag=True, algorithm="direct"
    ).f_calc()
    lookup = dict(zip(calculated.indices(), abs(calculated).data()))
    hkl = reflections["miller_index"]
    asu = calculated.customized_copy(
        indices=hkl, data=flex.double(len(hkl), 0)
    ).map_to_asu()
    # DIALS predicts and integrates systematic absences too; cctbx does not list them.
    absent = structure.space_group().is_sys_absent(hkl)
    assert absent.count(True) > 0
    expected = (
        np.array([0 if gone else lookup[h] for h, gone in zip(asu.indices(), absent)])
        ** 2
    )
    np.testing.assert_allclose(
        column(reflections, "intensity.kinematic.value"), expected, rtol=1e-6, atol=1e-9
    )
    observed = column(reflections, "intensity.prf.value") * column(reflections, "lp")
    np.testing.assert_allclose(
        observed / column(reflections, "truth.scale"), expected, rtol=1e-6, atol=1e-9
    )


def test_columns_of_truth_add_up(structure):
    _, reflections = simulate_experiments(
        structure,
        np.random.default_rng(1),
        n_crystals=2,
        noise=NoiseModel(image_spread=0.2, extra_error=0.1),
    )
    product = (
        column(reflections, "intensity.kinematic.value")
        * column(reflections, "truth.scale")
        * column(reflections, "truth.image_factor")
        * column(reflections, "truth.relative_error")
        / column(reflections, "lp")
    )
    expected = column(reflections, "truth.expected")
    np.testing.assert_allclose(product, expected, rtol=1e-12)
    counting = column(reflections, "truth.counting_noise")
    value = column(reflections, "intensity.prf.value")
    np.testing.assert_allclose(expected + counting, value, rtol=1e-12, atol=1e-9)
    # Counting noise in units of its standard deviation has unit variance.
    pull = counting / np.sqrt(column(reflections, "intensity.prf.variance"))
    assert pull.std() == pytest.approx(1, abs=0.05)
    assert column(reflections, "truth.relative_error").std() == pytest.approx(
        0.1, rel=0.1
    )
    # One factor an image, and a different one on the next.
    images = np.floor(reflections["xyzcal.px"].parts()[2].as_numpy_array())
    first = column(reflections, "id") == 0
    factor = column(reflections, "truth.image_factor")
    for image in (0, 1, 17):
        assert np.ptp(factor[first & (images == image)]) == 0
    assert len(np.unique(factor[first])) == len(np.unique(images[first]))


def test_seed_decides_every_bit(structure, tmp_path, models_in):
    for name in "ab":
        experiments, reflections = simulate_experiments(
            structure,
            np.random.default_rng(7),
            n_crystals=2,
            noise=NoiseModel(extra_error=0.1),
        )
        experiments.as_file(tmp_path / f"{name}.expt")
        reflections.as_file(tmp_path / f"{name}.refl")
    tables = [(tmp_path / f"{name}.refl").read_bytes() for name in "ab"]
    assert tables[0] == tables[1]
    assert models_in(tmp_path / "a.expt") == models_in(tmp_path / "b.expt")
    other, _ = simulate_experiments(structure, np.random.default_rng(8), n_crystals=2)
    assert other[0].identifier != experiments[0].identifier
    assert other[0].crystal != experiments[0].crystal


@pytest.fixture(scope="module")
def scaled(structure, tmp_path_factory):
    """What the real dials.scale makes of a simulated set, and the set itself."""
    folder = tmp_path_factory.mktemp("scaled")
    experiments, reflections = simulate_experiments(
        structure,
        np.random.default_rng(5),
        n_crystals=6,
        d_min=1.0,
        noise=NoiseModel(extra_error=0.12, mean_counts=2000, scale_spread=0.5),
    )
    experiments.as_file(folder / "simulated.expt")
    reflections.as_file(folder / "simulated.refl")
    dials(
        folder,
        "dials.scale",
        "simulated.expt",
        "simulated.refl",
        "model=KB",
        "KB.decay_correction=False",
        # Against counting errors alone a tenth of the strong data would be outliers.
        "outlier_rejection=None",
        "output.html=None",
        "nproc=1",
    )
    return folder, reflections, flex.reflection_table.from_file(folder / "scaled.refl")


@pytest.mark.slow
def test_dials_scale_recovers_scales_and_truth(scaled):
    _, _, table = scaled
    table = table.select(table.get_flags(table.flags.scaled))
    table = table.select(
        ~table.get_flags(table.flags.bad_for_scaling, all=False)
        & (table["inverse_scale_factor"] > 0)
    )
    assert len(table) > 4000
    found = np.array(
        [
            column(table, "inverse_scale_factor")[column(table, "id") == i].mean()
            for i in range(6)
        ]
    )
    truth = np.array(
        [column(table, "truth.scale")[column(table, "id") == i][0] for i in range(6)]
    )
    ratio = found / truth
    # The strongest dominate: 12 % error on about fifty of them in each crystal.
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.05)
    intensity = column(table, "intensity.scale.value") / column(
        table, "inverse_scale_factor"
    )
    correlation = np.corrcoef(intensity, column(table, "intensity.kinematic.value"))
    assert correlation[0, 1] > 0.985  # single observations, 12 % error and counting


@pytest.mark.slow
def test_merged_intensities_follow_the_truth_and_rmerge_the_noise(scaled):
    folder, _, table = scaled
    table = table.select(~table.get_flags(table.flags.bad_for_scaling, all=False))
    hkl = np.abs(table["miller_index"].as_vec3_double().as_numpy_array()).astype(int)
    _, unique, n = np.unique(hkl, axis=0, return_inverse=True, return_counts=True)
    unique = unique.ravel()
    I = column(table, "intensity.scale.value") / column(table, "inverse_scale_factor")
    merged = np.bincount(unique, I) / n
    kinematic = np.bincount(unique, column(table, "intensity.kinematic.value")) / n
    assert np.corrcoef(merged, kinematic)[0, 1] > 0.99
    r_meas = np.sum(
        np.sqrt(n / np.maximum(n - 1, 1))[unique] * np.abs(I - merged[unique])
    ) / np.sum(I)
    # The mean absolute deviation of a Gaussian is sigma times the root of 2 / pi.
    variance = (
        column(table, "intensity.prf.variance")
        * (column(table, "lp") / column(table, "inverse_scale_factor")) ** 2
    )
    sigma = np.sqrt(variance + (0.12 * merged[unique]) ** 2)
    # From seed to seed it varies by 3 %: few strong reflections weigh most.
    assert r_meas == pytest.approx(np.sqrt(2 / np.pi) * sigma.sum() / I.sum(), rel=0.1)


@pytest.mark.slow
def test_dials_export_takes_it(scaled):
    folder, _, _ = scaled
    dials(folder, "dials.export", "scaled.expt", "scaled.refl", "format=shelx")
    lines = (folder / "dials.hkl").read_text().splitlines()
    assert len(lines) > 4000


@pytest.mark.slow
def test_dials_show_takes_it(scaled):
    folder, _, _ = scaled
    dials(folder, "dials.show", "simulated.expt", "simulated.refl")


def test_no_crystals(structure):
    with pytest.raises(ValueError, match="At least one crystal"):
        simulate_experiments(structure, np.random.default_rng(1), n_crystals=0)


def test_nothing_but_absences(structure):
    with pytest.raises(ValueError, match="zero intensity|No reflection"):
        simulate_experiments(
            structure, np.random.default_rng(1), n_crystals=1, d_min=12.39
        )
