"""Small simulated input in a folder of its own, and a run that must be refused."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest


def _listing(folder: Path) -> dict[str, str]:
    """What lies in a folder and below: names, and what is inside."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name, content = str(path.relative_to(folder)), "folder"
        if path.is_file():
            try:
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            except PermissionError:
                content = "not readable"
        found[name] = content
    return found


@pytest.fixture
def listing():
    """A function that says what lies in a folder and below."""
    return _listing


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    """A folder with `simulated.expt` and `.refl`: three crystals, unscaled."""
    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.noise import NoiseModel
    from dials_spread.simulation.structures import random_structure

    folder = tmp_path_factory.mktemp("simulated")
    rng = np.random.default_rng(1)
    experiments, reflections = simulate_experiments(
        random_structure(rng),
        rng,
        n_crystals=3,
        scan_width=60.0,
        noise=NoiseModel(image_spread=0.05, extra_error=0.1),
    )
    experiments.as_file(folder / "simulated.expt")
    reflections.as_file(folder / "simulated.refl")
    return folder


@pytest.fixture
def good(simulated, tmp_path, monkeypatch) -> SimpleNamespace:
    """Input that works, to be spoiled, in the working folder as good.expt and .refl."""
    from dials.array_family import flex
    from dxtbx.model.experiment_list import ExperimentList

    monkeypatch.chdir(tmp_path)
    for ending in ("expt", "refl"):
        content = (simulated / f"simulated.{ending}").read_bytes()
        (tmp_path / f"good.{ending}").write_bytes(content)
    return SimpleNamespace(
        folder=tmp_path,
        expt="good.expt",
        refl="good.refl",
        experiments=ExperimentList.from_file("good.expt", check_format=False),
        table=flex.reflection_table.from_file("good.refl"),
    )


@pytest.fixture
def refused():
    """A function that runs the command, which must refuse, and gives its lines."""
    from dials.util import Sorry

    from dials_spread.command_line.compare_images import run

    def lines(*args) -> list[str]:
        before = _listing(Path("."))
        with pytest.raises(Sorry) as error:
            run([str(a) for a in args])
        assert _listing(Path(".")) == before, "something was written"
        told = str(error.value).splitlines()
        assert told and all(told)
        return told

    return lines


@pytest.fixture(autouse=True)
def quiet_loggers():
    """Each call of the command adds handlers: take them away again."""
    names = ("dials", "dxtbx", "py.warnings")
    before = {name: [*logging.getLogger(name).handlers] for name in names}
    yield
    for name in names:
        logging.getLogger(name).handlers = before[name]
    logging.captureWarnings(False)
