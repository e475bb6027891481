"""Gross outliers of integrated data have no say, and nothing of them is lost."""

from __future__ import annotations

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model import ExperimentList

from dials_spread.command_line.ml_correct import run
from dials_spread.correction.apply.correct import correct_intensities, get_subject
from dials_spread.correction.apply.estimates import choose_model
from dials_spread.correction.apply.subject import within_limit
from dials_spread.general_model.gather import true_amplitudes
from dials_spread.observations import build_observations
from dials_spread.observations.correction_state import INFLATION
from dials_spread.prepare.geometry import add_geometry
from dials_spread.prepare.gross import FEWEST
from dials_spread.rfactor.r1 import r_factor

TIMES = 20.0


def with_wild(experiments, tables, n=12):
    """Multiply n rows of each table by 20: strong ones, of different reflections."""
    observations = build_observations(experiments, tables)
    number = np.bincount(observations.unique)
    level = observations.merged()
    strong = (number >= FEWEST) & (level > level.mean())
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(strong))
    changed, hits = [], []
    for k, table in enumerate(tables):
        own = np.flatnonzero(observations.crystal == k)
        _, first = np.unique(observations.unique[own], return_index=True)
        own = own[first]
        wanted = np.isin(observations.unique[own], chosen[k :: len(tables)])
        hit = observations.row[own[wanted][:n]]
        value = table["intensity.prf.value"].as_numpy_array().copy()
        value[hit] *= TIMES
        wild = table.copy()
        wild["intensity.prf.value"] = flex.double(value)
        changed.append(wild)
        hits.append(hit)
    return changed, hits


def figures(experiments, tables, keep="auto"):
    subject = get_subject(experiments, tables, nproc=1, keep_outliers=keep)
    result = correct_intensities(subject, choose_model(), 1.0, nproc=1)
    F = true_amplitudes(subject.observations, tables)
    return float(r_factor(result.F, F)[0]), result


def test_what_was_planted_costs_next_to_nothing(simulated):
    experiments, tables = [*simulated[0]], simulated[1]
    clean, result = figures(experiments, tables)
    assert result.subject.n_gross == 0 and result.subject.beyond is None
    changed, hits = with_wild(experiments, tables)
    (own, result), (with_them, other) = (
        figures(experiments, changed, keep) for keep in ("auto", True)
    )
    assert other.subject.n_gross == 0
    planted = sum(map(len, hits))
    assert 0.8 * planted < result.subject.n_gross <= planted
    assert own < clean + 0.004 and own < with_them - 0.01
    # False takes in as little.
    assert (
        get_subject(experiments, changed, nproc=1, keep_outliers=False).n_gross
        == result.subject.n_gross
    )


def test_only_within_the_limit_and_of_crystals_that_agree(simulated):
    experiments, tables = [*simulated[0]], simulated[1]
    changed, _ = with_wild(experiments, tables)
    observations = build_observations(experiments, changed)
    measured = add_geometry(observations, experiments, changed)
    whole, cut = (within_limit(observations, measured, d) for d in (None, 1.5))
    assert 0 < cut.n_gross < whole.n_gross
    assert len(whole.beyond.measured) == whole.n_gross
    n = len(cut.beyond.measured) + len(cut.observations)
    assert n == len(observations)
    # All that lies beyond the limit but what is gross keeps its σ.
    far = cut.beyond.measured
    gross = cut.beyond.inflation > 1
    assert cut.n_gross <= gross.sum() < 0.2 * len(far)
    size = np.sqrt(cut.beyond.inflation * far.variance)
    assert (size[gross] >= np.abs(far.intensity)[gross]).all()
    none = within_limit(observations, measured, None, keep_gross=True)
    assert none.n_gross == 0 and none.beyond is None


@pytest.fixture
def wild_files(simulated, tmp_path, monkeypatch):
    """Such data in given.expt and given.refl; the table, and the rows that are wild."""
    monkeypatch.chdir(tmp_path)
    experiments, tables = [*simulated[0]], simulated[1]
    changed, hits = with_wild(experiments, tables)
    ExperimentList(experiments).as_file("given.expt")
    given = flex.reflection_table.concat(changed)
    given.as_file("given.refl")
    offset = np.cumsum([0, *map(len, tables[:-1])])
    return given, np.concatenate([h + o for h, o in zip(hits, offset)])


def test_nothing_of_it_is_lost_in_the_files(wild_files, capsys):
    given, rows = wild_files
    run(["given.expt", "given.refl", "output.html=None", "strength=1"])
    told = " ".join(capsys.readouterr().out.split())
    corrected = flex.reflection_table.from_file("corrected.refl")
    assert len(corrected) == len(given)
    value, variance = (
        corrected[f"intensity.prf.{what}"].as_numpy_array()
        for what in ("value", "variance")
    )
    original = corrected["intensity.prf.original.value"].as_numpy_array()
    planted = np.zeros(len(given), dtype=bool)
    planted[rows] = True
    inflation = corrected[INFLATION].as_numpy_array()
    vague = planted & (variance >= value**2) & (value == original)
    assert f"{vague.sum():,} gross outliers of " in told
    assert vague.sum() > 0.8 * planted.sum()
    assert np.median(inflation[vague]) > 100 * np.median(inflation[~planted])
    run(["corrected.expt", "corrected.refl", "undo=True"])
    restored = flex.reflection_table.from_file("uncorrected.refl")
    assert restored.as_msgpack() == given.as_msgpack()


def test_where_nothing_is_corrected_the_table_stays(wild_files, capsys):
    given = wild_files[0]
    run(["given.expt", "given.refl", "output.html=None", "strength=0"])
    told = " ".join(capsys.readouterr().out.split())
    assert "In the table they stay. keep_outliers=True lets them count." in told
    corrected = flex.reflection_table.from_file("corrected.refl")
    for what in ("value", "variance"):
        name = f"intensity.prf.{what}"
        assert np.array_equal(
            corrected[name].as_numpy_array(), given[name].as_numpy_array()
        )


@pytest.mark.parametrize("name", ["quartz", "natrolite"])
def test_measured_data_have_few(read_measured, name):
    subject = get_subject(*read_measured(f"{name}/integrated"), nproc=1)
    assert subject.n_gross <= 0.001 * len(subject.observations)


def test_scaled_data_were_looked_at_by_dials_scale(read_measured):
    subject = get_subject(*read_measured("quartz/scaled"), nproc=1)
    assert subject.n_gross == 0
