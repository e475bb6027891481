"""The same data give the same answer, however they are given and computed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex

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


@pytest.mark.slow
def test_a_comparison_does_not_depend_on_threads_and_rows(simulated):
    experiments, tables = simulated
    ways = ((tables, 1), (tables, 3), (shuffled(tables)[0], 1))
    found = [compare_images(experiments, t, nproc=nproc, seed=0) for t, nproc in ways]
    first = found[0]
    assert len(first.matches) > 5
    for other, tolerance in zip(found[1:], (0, 1e-9)):
        for name in ("image_a", "image_b", "operator"):
            np.testing.assert_array_equal(
                getattr(other.matches, name), getattr(first.matches, name)
            )
        for name in ("scale", "r_factor"):
            np.testing.assert_allclose(
                getattr(other.agreement, name),
                getattr(first.agreement, name),
                rtol=tolerance,
            )


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
