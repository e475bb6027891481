"""Three simulated crystals in three pairs of files."""

from __future__ import annotations

import pytest


@pytest.fixture
def files(simulated, tmp_path, monkeypatch):
    """Names of experiment files, and of reflection files, in the working folder."""
    from dxtbx.model import ExperimentList

    monkeypatch.chdir(tmp_path)
    for k, (experiment, table) in enumerate(zip(*simulated[:2])):
        ExperimentList([experiment]).as_file(f"{k}.expt")
        table.as_file(f"{k}.refl")
    return [[f"{k}.{ending}" for k in range(3)] for ending in ("expt", "refl")]
