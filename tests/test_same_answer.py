"""The same data give the same answer, however they are given and computed."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import numpy as np
import pytest

from cctbx import sgtbx
from cctbx.array_family import flex as cctbx_flex
from dxtbx.model import ExperimentList

from dials_spread.comparison import compare_images
from dials_spread.correction import correct_intensities
from dials_spread.correction.apply.correct import get_subject
from dials_spread.correction.apply.estimates import choose_model


def shuffled(tables, seed=1):
    """The same rows in another order, and which these are."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(table)) for table in tables]
    return [t.select(cctbx_flex.size_t(o)) for t, o in zip(tables, orders)], orders


def factors(experiments, tables, nproc=1) -> list[np.ndarray]:
    """The factor of each row of each table."""
    subject = get_subject(experiments, tables, nproc=nproc)
    result = correct_intensities(subject, choose_model(), seed=0, nproc=nproc)
    return result.measured.in_rows(result.column, [len(table) for table in tables])


@pytest.fixture(scope="module")
def corrected(simulated):
    return factors(*simulated)


@pytest.mark.slow
def test_a_correction_does_not_depend_on_the_number_of_threads(simulated, corrected):
    for ours, theirs in zip(factors(*simulated, nproc=3), corrected):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_a_correction_does_not_depend_on_the_order_of_rows(simulated, corrected):
    """But for sums, whose last digits do; trees hardly ever see these."""
    experiments, tables = simulated
    tables, orders = shuffled(tables)
    for ours, theirs, order in zip(factors(experiments, tables), corrected, orders):
        np.testing.assert_allclose(ours, theirs[order], rtol=1e-5)


@pytest.mark.slow
def test_a_correction_does_not_depend_on_the_order_of_crystals(simulated, corrected):
    experiments, tables = simulated
    turned = [2, 0, 1]
    found = factors([experiments[k] for k in turned], [tables[k] for k in turned])
    for ours, k in zip(found, turned):
        np.testing.assert_allclose(ours, corrected[k], rtol=1e-5)


def numbers_of(found) -> dict[str, np.ndarray]:
    """All that a comparison says, apart from what is in order of crystals or images."""
    parts = {
        "variogram": found.spread.variograms.as_dict(),
        "components": found.spread.components.as_dict(),
        "contrast": found.contrast.as_dict(),
        "normality": found.spread.normality.as_dict(),
        "significance": vars(found.significance),
        "agreement": vars(found.agreement),
        "summary": {name: vars(part) for name, part in found.summary.items()},
        "matches": {k: v for k, v in vars(found.matches).items() if "image" not in k},
        "associations": [a.as_dict() for a in found.origins.orientations.associations],
        "removal": found.origins.noisy_spots.as_dict()["remove_cut"],
    }
    size = found.spread.size.as_dict()
    parts["size"] = {k: v for k, v in size.items() if k.startswith("s")}
    return dict(leaves(parts))


def leaves(value, path=""):
    """Numbers and rows of numbers by where they are."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, (list, tuple)) and any(isinstance(x, dict) for x in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}.{number}")
    elif value is not None and not isinstance(value, str):
        yield path, np.asarray(value, dtype=float)


def reindexed(experiments, tables, number=1):
    """One crystal with its axes turned by half a turn of its group."""
    turn = sgtbx.change_of_basis_op("x,-y,-z")
    experiments = copy.deepcopy(ExperimentList(experiments))
    crystal = experiments[number].crystal
    experiments[number].crystal = crystal.change_basis(turn)
    table = tables[number].select(cctbx_flex.bool(len(tables[number]), True))
    table["miller_index"] = turn.apply(table["miller_index"])
    return experiments, [*tables[:number], table, *tables[number + 1 :]]


def in_other_units(tables, factor=3.7):
    """All intensities as another detector counts them."""
    found = []
    for table in tables:
        table = table.select(cctbx_flex.bool(len(table), True))
        for name in table.keys():
            if name.startswith("intensity.") or name == "background.mean":
                table[name] *= factor ** (2 if name.endswith("variance") else 1)
        found.append(table)
    return found


@pytest.mark.slow
def test_a_comparison_does_not_depend_on_how_the_data_are_given(simulated):
    """Order of crystals and rows, axes, units, threads: also what random numbers decide."""
    experiments, tables = simulated
    turned = [2, 0, 1]
    ways = {
        "threads": (experiments, tables, 3),
        "rows": (experiments, shuffled(tables)[0], 1),
        "crystals": ([experiments[k] for k in turned], [tables[k] for k in turned], 1),
        "axes": (*reindexed(experiments, tables), 1),
        "units": (experiments, in_other_units(tables), 1),
    }
    first = numbers_of(compare_images(experiments, tables, nproc=1, seed=0))
    assert len(first[".matches.n_common"]) > 5
    assert len(first) > 100
    for way, (*data, nproc) in ways.items():
        other = numbers_of(compare_images(*data, nproc=nproc, seed=0))
        assert other.keys() == first.keys(), way
        for name, values in first.items():
            if name == ".matches.operator" and way == "axes":
                continue
            np.testing.assert_allclose(
                other[name], values, rtol=1e-6, atol=1e-9, err_msg=f"{way}: {name}"
            )


@pytest.mark.slow
def test_a_crystal_of_three_reflections_changes_hardly_anything(simulated):
    """Estimates stay; intervals are those of one crystal more, at most 40 % narrower."""
    experiments, tables = simulated
    few = tables[0].select(cctbx_flex.size_t([100, 400, 700]))
    for name in ("xyzcal.px", "xyzobs.px.value", "intensity.prf.value"):
        few[name] *= 1.01
    first = compare_images(experiments, tables, nproc=1, seed=0)
    more = compare_images([*experiments, experiments[0]], [*tables, few], seed=0)
    assert more.spread.s == pytest.approx(first.spread.s, rel=0.01)
    one, two = (x.spread.components.as_dict() for x in (first, more))
    for name in ("orientation", "rest"):
        assert two[name]["share"] == pytest.approx(
            one[name]["share"], abs=0.02, nan_ok=True
        ), name
    for name, part in first.summary.items():
        assert more.summary[name].median == pytest.approx(part.median, rel=0.02), name
    before = factors(experiments, tables)
    after = factors([*experiments, experiments[0]], [*tables, few])
    for one, two in zip(before, after):
        change = np.abs(two / one - 1)
        assert np.median(change) < 0.005
        # Of the few equivalents of the three, the mean of the others is another.
        assert np.mean(change > 0.02) < 0.03
        assert change.max() < 0.15


@pytest.mark.slow
def test_a_correction_does_not_depend_on_axes_and_units(simulated, corrected):
    experiments, tables = simulated
    for data in (
        reindexed(experiments, tables),
        (experiments, in_other_units(tables)),
    ):
        for ours, theirs in zip(factors(*data), corrected):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)


RUN = """
import sys
from dials_spread.command_line.ml_correct import run
run([*sys.argv[1:], "output.html=None", "output.log=None"])
"""


@pytest.mark.slow
def test_hash_seed_and_threads_change_no_digit_of_the_files(simulated, tmp_path):
    from dxtbx.model import ExperimentList

    from dials_spread.correction.apply.corrected_files import join

    joined, table = join(*simulated)
    assert isinstance(joined, ExperimentList)
    joined.as_file(str(tmp_path / "in.expt"))
    table.as_file(str(tmp_path / "in.refl"))
    running = []
    for seed in ("1", "2"):
        (folder := tmp_path / seed).mkdir()
        command = [sys.executable, "-c", RUN, "../in.expt", "../in.refl"]
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ}}
        quiet["env"]["PYTHONHASHSEED"] = seed
        running.append(
            subprocess.Popen([*command, f"nproc={seed}"], cwd=folder, **quiet)
        )
    assert [process.wait() for process in running] == [0, 0]
    one, two = (tmp_path / seed for seed in ("1", "2"))
    assert (one / "corrected.refl").read_bytes() == (
        two / "corrected.refl"
    ).read_bytes()
    texts = [(f / "dials.ml_correct.json").read_text() for f in (one, two)]
    assert texts[0] == texts[1].replace('"nproc": "2"', '"nproc": "1"')
