"""What is wrong with virtual experiments, and the families of compounds."""

from __future__ import annotations

import numpy as np
import pytest

from dials_spread.general_model.compounds import (
    MOST_INDICES,
    Store,
    draw_conditions,
    load_compound,
    store_compound,
)
from dials_spread.general_model.families import FAMILIES, family_of
from dials_spread.general_model.faults import (
    COARSEST,
    ROUGH,
    Faults,
    draw_noise,
    draw_rough_faults,
    misset_experiment,
    saturated,
    wandering_scale,
)
from dials_spread.general_model.gather import (
    FORCED_MULTIPLICITY,
    gather_compound,
    measured_of,
    true_amplitudes,
)
from dials_spread.general_model.virtual import virtual_experiments
from dials_spread.rfactor.r1 import r_factor

SEED = 2  # of a compound with several crystals, found by looking at its description


@pytest.fixture(scope="module")
def compound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    assert store_compound(Store(str(folder), (220.0, 300.0)), SEED)
    return str(folder), load_compound(str(folder), SEED)


@pytest.mark.slow
def test_the_wandering_scale_has_its_size():
    angle = np.linspace(-30, 30, 601)
    rng = np.random.default_rng(0)
    ln = np.log([wandering_scale(rng, angle, 0.2) for _ in range(400)])
    assert ln[:, 0].std() == pytest.approx(0.2, rel=0.1)  # a node
    assert np.abs(np.diff(ln, axis=1)).max() < 0.02  # and smooth
    assert np.all(wandering_scale(rng, angle, 0.0) == 1)


@pytest.mark.slow
def test_rough_experiments_are_worse_measured_and_shorter(compound):
    _, (experiments, reflections, about) = compound
    found = {}
    for grade in ("plain", "rough"):
        r1, length, finest = [], [], []
        for seed in range(6):
            rng = np.random.default_rng(seed)
            made = virtual_experiments(
                experiments, reflections, about, rng, grade=grade
            )
            for own, tables, how in made:
                observations, measured = measured_of(own, tables)
                F = true_amplitudes(observations, tables)
                m = np.bincount(measured.unique, measured.intensity)
                m = np.sqrt(np.maximum(m / np.bincount(measured.unique), 0))
                if how["stratum"] == 0:  # little of its R1 is of multiple scattering
                    r1.append(r_factor(m, F)[0])
                length += [np.ptp(measured.angle[measured.crystal == 0])]
                finest.append(1 / np.sqrt(measured.d_star_sq.max()))
        found[grade] = np.median(r1), np.mean(length), np.max(finest)
    assert found["rough"][0] > 1.2 * found["plain"][0]
    assert 0.5 < found["rough"][1] / found["plain"][1] < 0.9  # 0.7 expected
    assert found["plain"][2] < about["d_min"] + 0.01
    assert about["d_min"] + 0.05 < found["rough"][2] <= COARSEST + 0.01


@pytest.mark.slow
def test_missetting_has_its_size_and_leaves_the_truth_alone(compound):
    _, (experiments, _, _) = compound
    true = np.array(experiments[0].crystal.get_A()).reshape(3, 3)
    faults = Faults(wander=0, outliers=0, misset=0.1, strain=0.002)
    rng = np.random.default_rng(1)
    turns, strains = [], []
    for _ in range(300):
        wrong = misset_experiment(rng, experiments[0], faults)
        A = np.array(wrong.crystal.get_A()).reshape(3, 3)
        change = A @ np.linalg.inv(true)
        size = np.cbrt(np.linalg.det(change))
        turn = change / size
        # Of a small rotation the antisymmetric part is the rotation vector.
        anti = (turn - turn.T) / 2
        turns.append(np.degrees([anti[2, 1], anti[0, 2], anti[1, 0]]))
        strains.append(size - 1)
    assert np.std(turns, axis=0) == pytest.approx([0.1] * 3, rel=0.15)
    assert np.std(strains) == pytest.approx(0.002, rel=0.15)
    assert np.allclose(np.array(experiments[0].crystal.get_A()).reshape(3, 3), true)
    one = experiments[0]
    assert misset_experiment(rng, one, Faults(0, 0)) is one


@pytest.mark.slow
def test_saturation_by_hand():
    intensities = np.append(np.zeros(998), [1.0, 100.0])
    told = saturated(intensities, 0.25)
    strongest = np.quantile(intensities, 0.999)
    at = np.interp(strongest, intensities[-2:], told[-2:])
    assert saturated(np.array([strongest] * 2000), 0.25)[0] == pytest.approx(
        0.75 * strongest
    )
    assert at < strongest and np.all(np.diff(told) >= 0)
    # Weak spots lose next to nothing, and nothing is lost where nothing saturates.
    assert told[-2] / told[-1] > intensities[-2] / intensities[-1]
    assert np.array_equal(saturated(intensities, 0.0), intensities)


@pytest.mark.slow
def test_faults_are_drawn_within_what_is_said():
    drawn = [
        (draw_noise(np.random.default_rng(k), ROUGH),
         draw_rough_faults(np.random.default_rng(k), 0.8))
        for k in range(400)
    ]  # fmt: skip
    extra = np.array([noise.extra_error for noise, _ in drawn])
    assert 0.05 <= extra.min() < 0.055 and 0.37 < extra.max() <= 0.4
    # Uniform in the logarithm.
    assert np.median(extra) == pytest.approx(np.sqrt(0.05 * 0.4), rel=0.1)
    coarser = np.array([faults.coarser for _, faults in drawn])
    assert 0.3 < np.mean(coarser > 0) < 0.5
    assert np.all((coarser == 0) | ((coarser >= 0.8) & (coarser <= COARSEST)))
    assert 0.3 < np.mean([faults.saturation > 0 for _, faults in drawn]) < 0.5


@pytest.mark.slow
def test_rough_sets_may_have_a_low_multiplicity(compound):
    folder, _ = compound
    sets = gather_compound(folder, SEED)
    assert {s.grade for s in sets} == {"plain", "rough"}
    for one in sets:
        least = 2.0 if one.grade == "plain" else FORCED_MULTIPLICITY
        assert one.multiplicity >= least
    # Read from the file, they are the same.
    again = gather_compound(folder, SEED)
    assert [s.grade for s in again] == [s.grade for s in sets]
    assert np.array_equal(again[-1].F, sets[-1].F)


@pytest.mark.slow
def test_families_are_told_by_their_seeds():
    assert family_of(0) is FAMILIES["ordinary"]
    assert family_of(999_999) is FAMILIES["ordinary"]
    assert family_of(1_000_000) is FAMILIES["rich"]
    assert family_of(2_000_017) is FAMILIES["fine"]
    assert FAMILIES["fine"].seeds(2, 5) == range(2_000_005, 2_000_007)
    rng = np.random.default_rng(0)
    fine = [draw_conditions(rng, 950.0, FAMILIES["fine"]).d_min for _ in range(200)]
    # A large cell is not measured as finely: its reflections would be too many.
    limit = np.cbrt(950.0 / MOST_INDICES)
    assert limit <= min(fine) < limit + 0.01 and 0.74 < max(fine) <= 0.75
    small = [draw_conditions(rng, 100.0, FAMILIES["fine"]).d_min for _ in range(200)]
    assert 0.5 <= min(small) < 0.52
    rich = draw_conditions(rng, 1500.0, FAMILIES["rich"])
    assert len(rich.scan_widths) >= 12
