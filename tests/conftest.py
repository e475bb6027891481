"""Fixtures for all tests."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Some tests are of the arithmetic of benchmarks.
sys.path.insert(0, str(ROOT / "benchmarks"))

# Behind nohup, or in the background of a shell, these are ignored, and what ignores them
# passes that on to the programs that tests interrupt.
for _name, _usual in (
    ("SIGINT", signal.default_int_handler),
    ("SIGHUP", signal.SIG_DFL),
):
    with contextlib.suppress(AttributeError, ValueError):
        _number = getattr(signal, _name)
        if signal.getsignal(_number) == signal.SIG_IGN:
            signal.signal(_number, _usual)

try:
    from hypothesis import settings
except ImportError:  # the tests that need it are skipped
    pass
else:
    # The first call of a compiled function takes seconds, so there is no deadline. In
    # continuous integration the examples are the same in every run.
    settings.register_profile("local", deadline=None)
    settings.register_profile("ci", deadline=None, derandomize=True)
    settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")


def pytest_addoption(parser: pytest.Parser) -> None:
    """dev/test --long runs what is marked so, too."""
    parser.addoption("--long", action="store_true", help="run tests marked long, too")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Begin with the files that have slow tests: two processes then end together.

    One of the files that look at one comparison of placements comes first, the others
    last: by then it is made, and no process waits for the other.
    """
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    compared = {item.path for item in items if "compared_quartz" in item.fixturenames}
    later = sorted(compared)[1:]
    items.sort(key=lambda item: (item.path in later, item.path not in slow))


@pytest.fixture(scope="session")
def run_tool():
    """A function that runs `python -m tool arguments` in the checkout.

    Without the tool the test is skipped; in continuous integration it fails.
    """

    def run(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess:
        if importlib.util.find_spec(tool) is None:
            reason = f"{tool} is not installed; dev/bootstrap test docs installs it"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
        command = [sys.executable, "-m", tool, *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of measured data that tests and benchmarks share.

    It is no part of the checkout, so a fresh clone skips what needs it. Continuous
    integration has it, and a skip there would hide that nothing was tested: it fails.
    """
    named = os.environ.get("DIALS_SPREAD_DATA")
    for folder in (named, ROOT.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder).resolve()
    reason = (
        f"no measured data: DIALS_SPREAD_DATA is {named or 'not set'}"
        f"{', which is no folder' if named else ''}, "
        "and there is no ../shared/data beside the checkout"
    )
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def read_measured(data_folder):
    """A function that reads one measured set: experiments, and a table for each."""
    from dials.array_family import flex
    from dxtbx.model.experiment_list import ExperimentListFactory

    def read(name: str):
        path = str(data_folder / name)
        experiments = ExperimentListFactory.from_json_file(
            f"{path}.expt", check_format=False
        )
        table = flex.reflection_table.from_file(f"{path}.refl")
        numbers = range(len(experiments))
        return experiments, [table.select(table["id"] == i) for i in numbers]

    return read


@pytest.fixture(scope="session")
def models_in():
    """A function that reads an .expt without the history that later releases write.

    There are the times at which programs ran, so that no two runs write the same.
    """

    def read(path: str | Path) -> dict:
        document = json.loads(Path(path).read_text())
        document.pop("history", None)
        return document

    return read


@pytest.fixture(scope="session")
def small_structure():
    """P 21 21 21, 923 Å³."""
    import numpy as np

    from dials_spread.simulation.structures import random_structure

    return random_structure(np.random.default_rng(7))


@pytest.fixture(scope="module")
def address():
    """A scheduler on loopback with two workers, one thread each."""
    distributed = pytest.importorskip("distributed")
    own = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1",
        memory_limit="1.5GB",
    )  # fmt: skip
    yield own.scheduler_address
    own.close()


@pytest.fixture(scope="session")
def simulated(small_structure):
    """Experiments and tables of three crystals without multiple scattering."""
    import numpy as np

    from dials_spread.simulation.datasets import simulate_experiments
    from dials_spread.simulation.noise import NoiseModel

    experiments, reflections = simulate_experiments(
        small_structure,
        np.random.default_rng(8),
        n_crystals=3,
        d_min=1.0,
        scan_width=50.0,
        noise=NoiseModel(mean_counts=2000.0, scale_spread=0.5, extra_error=0.05),
    )
    return experiments, [reflections.select(reflections["id"] == i) for i in range(3)]


@pytest.fixture(scope="session")
def small(simulated):
    """The three crystals as the correction takes them."""
    from dials_spread.observations import build_observations
    from dials_spread.prepare.geometry import add_geometry

    experiments, tables = simulated
    return add_geometry(build_observations(experiments, tables), experiments, tables)


@pytest.fixture(scope="session")
def small_F(small_structure, small):
    """Their kinematic amplitudes, in the order of the unique indices."""
    import numpy as np

    from dials_spread.scattering.structure_factors import structure_factors

    return np.abs(structure_factors(small_structure, small.unique_index))


@pytest.fixture
def crystal_files(simulated, tmp_path, monkeypatch):
    """Three crystals in three pairs of files in the working folder: .expt, .refl."""
    from dxtbx.model import ExperimentList

    monkeypatch.chdir(tmp_path)
    for k, (experiment, table) in enumerate(zip(*simulated[:2])):
        ExperimentList([experiment]).as_file(f"{k}.expt")
        table.as_file(f"{k}.refl")
    return [[f"{k}.{ending}" for k in range(3)] for ending in ("expt", "refl")]
