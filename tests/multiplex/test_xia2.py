"""Whole runs of xia2.multiplex with the correction in them; skipped where xia2 is not.

They take minutes, as xia2.multiplex does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentListFactory

from dials_spread.multiplex.releases import find_xia2
from dials_spread.multiplex.side_by_side import statistics_of
from dials_spread.observations.correction_state import correction_state

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("xia2")]

ROOT = Path(__file__).resolve().parents[2]

# Tables from other programs have no reflections that were refined against.
OPTIONS = (
    *("symmetry.space_group=P212121", "unit_cell.refine=None", "nproc=1"),
    *("resolution.d_min=1.2", "min_multiplicity=3"),
)


def one_cluster() -> list[str]:
    """As parameters: later releases give clusters only when asked, by other names."""
    paths = {d.path for d in find_xia2().command.phil_scope.all_definitions()}
    if "clustering.max_output_clusters" not in paths:
        return ["max_clusters=1"]
    asked = {"output_clusters": True, "max_output_clusters": 1, "min_cluster_size": 2}
    return [f"clustering.{name}={value}" for name, value in asked.items()]


def run(folder: Path, files, *args: str, module="multiplex_corrected"):
    """Run the command in a folder, and give what it ended with."""
    folder.mkdir()
    own = f"dials_spread.command_line.{module}"
    return subprocess.run(
        [sys.executable, "-m", own, *files, *args],
        **{"cwd": folder, "capture_output": True, "text": True},
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def one(folder: Path, name: str) -> Path:
    """The file of a name, wherever a release of xia2 puts it."""
    found = sorted(folder.rglob(name), key=lambda path: len(path.parts))
    assert found, f"{name} is not there"
    return found[0]


@pytest.fixture(scope="module")
def files(data_folder, tmp_path_factory) -> list[str]:
    """Crystals of abiraterone acetate, each in files of its own."""
    folder, own = data_folder / "abiraterone", tmp_path_factory.mktemp("split")
    table = flex.reflection_table.from_file(str(folder / "integrated.refl"))
    experiments = ExperimentListFactory.from_json_file(
        str(folder / "integrated.expt"), check_format=False
    )
    names = []
    for k, experiment in enumerate(experiments):
        part = table.select_on_experiment_identifiers([experiment.identifier])
        part.reset_ids()
        part.as_file(str(own / f"{k}.refl"))
        experiments[k : k + 1].as_file(str(own / f"{k}.expt"))
        names += [str(own / f"{k}.expt"), str(own / f"{k}.refl")]
    return names


@pytest.fixture(scope="module")
def both(files, tmp_path_factory) -> Path:
    """A run with both placements, clusters and filtering."""
    folder = tmp_path_factory.mktemp("runs") / "both"
    more = ("correct.placement=both", "filtering.method=deltacchalf")
    result = run(folder, files, *OPTIONS, *one_cluster(), *more, "correct.strength=0.5")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.parametrize("placement", ["before", "after"])
def test_all_that_xia2_writes_is_corrected(both, placement):
    folder = both / placement
    for name in ("scaled.refl", "filtered.refl"):
        table = flex.reflection_table.from_file(str(one(folder, name)))
        assert correction_state(table) == "corrected"
        kind = "scale" if placement == "after" else "prf"
        assert f"intensity.{kind}.original.value" in table
        assert len(table.experiment_identifiers()) > 1
        assert table.get_flags(table.flags.integrated_prf).count(True) > 0
    page = one(folder, "xia2.multiplex.html").read_text(encoding="utf-8")
    assert f"All data, corrected {placement} scaling" in page
    expected = 3 if placement == "after" else 1
    assert page.count(f", corrected {placement} scaling") == expected
    log = one(folder, "xia2.multiplex.log").read_text(encoding="utf-8")
    assert "dials_spread developers" in log
    one(folder, "*_dials.ml_correct.log")
    cited = one(folder, "xia2.multiplex-citations.bib").read_text(encoding="utf-8")
    assert "@software{dials_spread" in cited
    document = json.loads(one(folder, "*_dials.ml_correct.json").read_text("utf-8"))
    assert document["parameters"]["strength"] == "0.5"


def test_both_stand_side_by_side(both):
    page = (both / "xia2.multiplex_corrected.html").read_text(encoding="utf-8")
    for placement in ("before", "after"):
        found = statistics_of(both / placement)
        assert {"All data", "Filtered"} < {*found}
        assert f"{found['All data']['r_meas']:.3f}" in page


def test_none_is_xia2_as_it_is(files, tmp_path):
    options = (*OPTIONS, *one_cluster())
    args = (*options, "correct.placement=none")
    assert run(tmp_path / "ours", files, *args).returncode == 0
    (tmp_path / "theirs").mkdir()
    plain = "from xia2.cli.multiplex import run; import sys; run(sys.argv[1:])"
    theirs = subprocess.run(
        [sys.executable, "-c", plain, *files, *options], cwd=tmp_path / "theirs"
    )
    assert theirs.returncode == 0
    expected = statistics_of(tmp_path / "theirs")
    assert statistics_of(tmp_path / "ours") == expected


def test_x_rays_are_refused(data_folder, tmp_path):
    folder = data_folder / "l_cysteine"
    names = [
        str(folder / f"{k}_integrated.{e}") for k in (20, 25) for e in ("expt", "refl")
    ]
    result = run(tmp_path / "x", names, "nproc=1")
    assert result.returncode == 1
    assert "The data are of X-rays" in result.stderr
    assert "Traceback" not in result.stderr
