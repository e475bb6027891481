"""Rows of junk, listed as another crystal, change neither R1 nor what is expected of it."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex

from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.tables import corrected_table
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.input_files import Input
from dials_spread.observations.correction_state import FACTOR, INFLATION
from dials_spread.rfactor.r1 import r_factor

NUMBERS = (1, 3, 10, 30)
KINDS = ("strong", "weak")
MEASURED = ("quartz", "natrolite")


def with_junk(experiments, tables, n, kind):
    """
    Add a crystal of n rows that are there, with intensities at random.

    Strong ones are ten times the mean, with σ of 5 %; weak ones a tenth of it.
    """
    rng = np.random.default_rng([n, len(kind)])
    table = tables[0]
    mean = np.mean(table["intensity.prf.value"].as_numpy_array())
    junk = table.select(flex.size_t(rng.choice(len(table), n, replace=False)))
    value = mean * {"strong": 10.0, "weak": 0.1}[kind] * rng.exponential(size=n)
    junk["intensity.prf.value"] = flex.double(value)
    if kind == "strong":
        junk["intensity.prf.variance"] = flex.double((0.05 * value) ** 2)
    return [*experiments, experiments[0]], [*tables, junk]


def figures(experiments, tables, source):
    """R1 before and after, and the one that is expected; with the correction."""
    subject = get_subject(experiments, tables)
    result = correct_intensities(subject, choose_model(), 1.0, reference=source)
    if source is None:
        F = true_amplitudes(subject.observations, tables)
        r1 = [r_factor(x, F)[0] for x in (result.F_before, result.F)]
    else:
        r1 = [*result.truth.r1]
    return np.array([*r1, result.estimate.predicted_r1]), result


@pytest.fixture(scope="module")
def sets(simulated, request):
    """Experiments, tables, reference and figures by name, each made once."""
    made = {}

    def get(name):
        if name not in made:
            if name == "simulated":
                data = [*simulated[0]], simulated[1], None
            else:
                experiments, tables = request.getfixturevalue("read_measured")(
                    f"{name}/integrated"
                )
                folder = request.getfixturevalue("data_folder")
                source = str(folder / "structures" / f"{name}.cif")
                data = [*experiments], tables, source
            made[name] = (*data, figures(*data)[0])
        return made[name]

    return get


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", NUMBERS)
@pytest.mark.parametrize("name", [*MEASURED, "simulated"])
def test_junk_changes_nothing(sets, name, n, kind):
    experiments, tables, source, alone = sets(name)
    found, result = figures(*with_junk(experiments, tables, n, kind), source)
    np.testing.assert_allclose(found, alone, atol=0.003)
    assert result.subject.outsiders == (len(experiments),)
    # Some rows of the tables are no observations.
    assert np.unique(result.beyond.measured.crystal).tolist() == [len(experiments)]
    told = [w for w in result.warnings if w.startswith("Not shown to agree with")]
    own = f"{len(experiments)} (crystals from 0; {len(result.beyond.measured)} of"
    assert len(told) == 1 and own in told[0]


@pytest.mark.parametrize("times, part", [(1e9, 1e-9), (-1e6, 1e9), (1e-6, 1e-3)])
@pytest.mark.parametrize("n", [1, 30])
@pytest.mark.parametrize("name", ["quartz", "simulated"])
def test_extreme_rows_neither_stop_nor_change_it(sets, name, n, times, part):
    """Of 10⁹ times the mean intensity, or with σ of that size; rows that are not finite."""
    experiments, tables, source, alone = sets(name)
    *_, junk = with_junk(experiments, tables, n, "strong")[1]
    value = times * junk["intensity.prf.value"].as_numpy_array()
    junk["intensity.prf.value"] = flex.double(value)
    junk["intensity.prf.variance"] = flex.double((part * value) ** 2)
    found, result = figures([*experiments, experiments[0]], [*tables, junk], source)
    np.testing.assert_allclose(found, alone, atol=0.003)
    assert result.subject.outsiders == (len(experiments),)
    junk["intensity.prf.value"] = flex.double(np.full(n, np.nan))
    found, result = figures([*experiments, experiments[0]], [*tables, junk], source)
    np.testing.assert_allclose(found, alone, atol=1e-12)
    assert result.subject.outsiders == ()


def test_its_rows_weigh_next_to_nothing_in_the_corrected_table(simulated):
    experiments, tables = with_junk([*simulated[0]], simulated[1], 30, "strong")
    result = figures(experiments, tables, None)[1]
    names = [f"{k}.{e}" for e in ("expt", "refl") for k in range(4)]
    data = Input([*experiments], tables, [0, 1, 2, 3], names, {})
    table = corrected_table(data, result)[1]
    own = np.arange(len(table)) >= sum(map(len, tables[:3]))
    value, variance = (
        table[f"intensity.prf.{what}"].as_numpy_array()
        for what in ("value", "variance")
    )
    assert (table[FACTOR].as_numpy_array()[own] == 1).all()
    np.testing.assert_array_equal(
        value[own], table["intensity.prf.original.value"].as_numpy_array()[own]
    )
    # As large as intensities are, but for factors of the geometry.
    assert np.median(np.sqrt(variance[own])) > np.median(np.abs(value[own]))
    assert (table[INFLATION].as_numpy_array()[own] > 10).all()


def test_a_part_of_a_crystal_that_agrees_is_corrected_as_one(simulated):
    """Cut off as a crystal of its own, 200 rows keep their say."""
    experiments, tables = [*simulated[0]], simulated[1]
    whole = figures(experiments, tables, None)
    own = np.arange(len(tables[2])) < 200
    parts = [tables[2].select(flex.bool(x)) for x in (~own, own)]
    cut = figures([*experiments, experiments[2]], [*tables[:2], *parts], None)
    assert cut[1].subject.outsiders == () and cut[1].beyond is None
    np.testing.assert_allclose(cut[0], whole[0], atol=0.003)
