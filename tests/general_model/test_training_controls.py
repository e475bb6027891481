"""Arithmetic of the controls of training, and of the trial of families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("dials.array_family.flex")

import training_controls as controls  # noqa: E402
import training_families as families  # noqa: E402

from dials_spread.correction.apply.estimates import SHIPPED  # noqa: E402
from dials_spread.correction.features.all_features import features_of  # noqa: E402
from dials_spread.correction.model.evidence import (  # noqa: E402
    evidence_of,
    expected_differences,
)
from dials_spread.correction.model.general import unpack  # noqa: E402
from dials_spread.correction.model.model_file import read_model  # noqa: E402
from dials_spread.general_model.compounds import simulate_compound  # noqa: E402
from dials_spread.general_model.gather import (  # noqa: E402
    VirtualExperiment,
    measured_of,
    true_amplitudes,
)
from dials_spread.general_model.out_of_fold import Outcome  # noqa: E402
from dials_spread.general_model.virtual import virtual_experiments  # noqa: E402
from dials_spread.prepare.prepared import prepare  # noqa: E402
from dials_spread.rfactor import amplitudes  # noqa: E402
from dials_spread.rfactor.r1 import r_factor  # noqa: E402

SEED = 1  # of a compound with eight crystals


@pytest.fixture(scope="module")
def made():
    """A virtual experiment with its features, and what they were made of."""
    compound = simulate_compound(SEED, (300.0, 340.0))
    rng = np.random.default_rng(5)
    experiments, tables, _ = list(virtual_experiments(*compound, rng))[-1]
    observations, measured = measured_of(experiments, tables)
    prepared = prepare(measured, nproc=1)
    features = features_of(prepared, 1)
    F = true_amplitudes(observations, tables)
    one = VirtualExperiment(SEED, 2, "plain", features, F, features.E_k, features.E_k)
    return one, prepared


def test_blanked_inputs_are_those_of_multiple_scattering(made):
    one = made[0]
    features = controls.blanked(one).features
    for table in ("observation", "reflection"):
        names = getattr(features, f"{table}_names")
        blank = np.isnan(getattr(features, table)).all(axis=0)
        told = {name for name, x in zip(names, blank) if x}
        assert told == {n for n in names if n.startswith(controls.OF_SCATTERING)}
        assert {"noise", "shell", "U_rms", "centric", "ln_n", "r_meas"} <= set(names)
        assert not told & {"noise", "shell", "U_rms", "centric", "ln_n", "r_meas"}
        kept = ~blank
        before = getattr(one.features, table)[:, kept]
        assert np.array_equal(getattr(features, table)[:, kept], before, equal_nan=True)
    assert {"coupling_3", "signed_30", "rate", "excited_to_h", "strongest_path"} <= {
        n
        for n in features.observation_names
        if n.startswith(controls.OF_SCATTERING)
    }  # fmt: skip
    assert "mean_of_others" not in _blank_names(features.observation_names)
    assert {"mean", "mean_residual", "mean_E"}.isdisjoint(
        _blank_names(features.reflection_names)
    )


def _blank_names(names) -> set[str]:
    """Names of inputs that begin as those that are taken away."""
    return {n for n in names if n.startswith(controls.OF_SCATTERING)}


def test_permuted_targets_keep_each_shell_and_nothing_else(made):
    one = made[0]
    wrong = controls.with_permuted_targets(one)
    root_N = np.sqrt(one.features.N)
    column = one.features.reflection_names.index("shell")
    shell = one.features.reflection[:, column]
    for value in np.unique(shell):
        own = shell == value
        assert np.sort((wrong.F / root_N)[own]) == pytest.approx(
            np.sort((one.F / root_N)[own])
        )
    assert np.corrcoef(wrong.F / root_N, one.F / root_N)[0, 1] < 0.15
    # The same again, or networks could not be compared.
    assert np.array_equal(wrong.F, controls.with_permuted_targets(one).F)


def test_the_best_part_of_a_mean_is_found(made):
    one = made[0]
    mean = controls.wilson_mean(one.features)
    E = one.features.E_k
    # Truth made by drawing amplitudes to the mean by 0.3, and by drawing them away.
    for part in (0.3, -0.2):
        drawn = np.maximum(E + part * (mean - E), 0)
        told = replace(one, F=drawn * np.sqrt(one.features.N))
        assert controls.best_part([told], controls.wilson_mean) == pytest.approx(
            part, abs=0.01
        )
        assert controls.r1_of_pulled(told, mean, part) == pytest.approx(0, abs=1e-6)


def test_expectations_of_wilson():
    class Centric:
        reflection = np.array([[0.0], [1.0]])
        reflection_names = ("centric",)

    rng = np.random.default_rng(0)
    centric = np.abs(rng.standard_normal(400_000)).mean()
    acentric = np.sqrt(rng.exponential(1.0, 400_000)).mean()
    found = controls.wilson_mean(Centric)
    assert found == pytest.approx([acentric, centric], abs=3e-3)


def test_merge_and_evidence_of_features_are_those_of_the_data(made):
    one, prepared = made
    scaled = prepared.scaled
    merged = amplitudes(scaled.merged(weights=1 / scaled.variance))
    assert families.merged_by_sigma(one) == pytest.approx(merged, rel=1e-4, abs=1e-6)
    bias = unpack(read_model(SHIPPED)).bias
    told = families.evidence_from(one, bias)
    own = evidence_of(prepared, expected_differences(one.features, bias, 1))
    assert told.slope == pytest.approx(own.slope, rel=1e-4)
    assert (told.n, told.strength) == (own.n, pytest.approx(own.strength, abs=1e-3))


def test_french_wilson_of_features_shrinks_noise(made):
    one = made[0]
    rng = np.random.default_rng(1)
    features = one.features
    column = features.reflection_names.index("noise")
    reflection = features.reflection.copy()
    reflection[:, column] = 0.5
    n = np.bincount(features.unique)[features.unique]
    J = (one.F**2 / features.N)[features.unique]
    J *= np.mean(features.E_k**2) / np.mean(one.F**2 / features.N)
    noisy = J + 0.5 * np.sqrt(n) * rng.standard_normal(len(J))
    told = replace(
        features, reflection=reflection, E_i=np.sign(noisy) * np.sqrt(np.abs(noisy))
    )
    merged = np.bincount(features.unique, noisy) / np.bincount(features.unique)
    plain = r_factor(np.sqrt(np.maximum(merged, 0) * features.N), one.F)[0]
    assert controls.r1_of_french_wilson(replace(one, features=told)) < 0.95 * plain


def test_differences_are_of_the_same_sets():
    outcomes = [
        Outcome(c, 0, "plain", 3.0, 0.2, {"a": 0.2 * x, controls.NETWORK: 0.1 * x})
        for c, x in ((0, 1.0), (1, 0.3), (2, 0.7))
    ]
    cells = controls.figures(outcomes, "a")
    assert cells[0] == "0.200" and cells[4:] == ["2.0000", "0.0000"]
    assert controls.figures(outcomes, controls.NETWORK)[4:] == ["", ""]


def test_families_are_halved_by_compound(made):
    one = made[0]
    seeds = [
        3_000_000,
        3_000_001,
        3_000_002,
        3_000_003,
        5_000_000,
        6_000_000,
        6_000_001,
    ]
    sets = [replace(one, compound=s) for s in seeds for _ in range(3)]
    first, second = families.halves(sets)
    of_first, of_second = ({s.compound for s in x} for x in (first, second))
    # A family of one compound is in neither half.
    assert of_first | of_second == set(seeds) - {5_000_000}
    assert not of_first & of_second
    assert sum(families.name_of(s) == "thin" for s in of_first) == 2
    assert [families.name_of(s) for s in (0, 1_000_000, 2_000_005, 4_000_000)] == [
        "usual", "usual", "usual", "precessed",
    ]  # fmt: skip
