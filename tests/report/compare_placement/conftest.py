"""A comparison of placements on measured quartz, made by the real programs."""

from __future__ import annotations

import fcntl
import os
import pickle
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dials_spread.placement.comparison import compare_placements
from dials_spread.placement.results import PlacementChoices
from dials_spread.placement.structure_tests import StructureChoices
from dials_spread.report.page.document import Provenance

PARAMETERS = {
    "structure": "quartz",
    "refinement.start_shift": "0.1",
    "resampling.draws": "60",
}


@pytest.fixture(scope="session")
def compared_quartz(data_folder, tmp_path_factory):
    """Quartz in all branches; that of a user's model fails, as its file is no model.

    It takes most of a minute: processes of one run of the tests share it.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    made = shared / "compared_quartz.pickle"
    with open(shared / "compared_quartz.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            compared = _compare(data_folder, tmp_path_factory.mktemp("placement"))
            made.write_bytes(pickle.dumps(compared))
    return pickle.loads(made.read_bytes())


def _compare(data_folder, folder):
    broken = folder / "broken.model"
    broken.write_text("no model\n")
    choices = PlacementChoices(
        structure="quartz",
        model=broken,
        folder=folder / "branches",
        draws=60,
        tests=StructureChoices(max_cycles=30, starts=4),
        shelx=False,
        nproc=2,
    )
    files = [str(data_folder / f"quartz/integrated.{end}") for end in ("expt", "refl")]
    return compare_placements(files, choices, lambda line: None)


@pytest.fixture
def provenance():
    return Provenance("dials.compare_placement", ["a.expt", "a.refl"], PARAMETERS)


@pytest.fixture
def solved_here(compared_quartz):
    """The same as if the structure had been solved from a branch."""
    known = replace(compared_quartz.known, solved_from="before")
    return replace(compared_quartz, known=known)


@pytest.fixture
def output():
    """The output scope of the command."""
    return SimpleNamespace(
        ins="best.ins",
        hkl="best.hkl",
        log="dials.compare_placement.log",
        json="dials.compare_placement.json",
        html="dials.compare_placement.html",
    )
