"""Both placements: what is read of the two runs, and what is said of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dials_spread.multiplex.side_by_side import comparison, statistics_of

ROOT = Path(__file__).resolve().parents[2]

WITHOUT_XIA2 = (
    "import sys; sys.modules['xia2'] = None; "
    "from dials_spread.command_line.multiplex_corrected import run; run()"
)


def document(r_meas: float, d_min: float, datasets=("All data",)) -> dict:
    """As xia2 writes it: the statistics of iotbx, in which limits are 1/d²."""
    overall = {
        **{"d_star_sq_min": 1 / d_min**2, "d_star_sq_max": 1 / 6.7**2},
        **{"n_obs": 10535, "n_uniq": 1079, "multiplicity": 9.7637},
        **{"completeness": 89.1, "i_over_sigma_mean": 16.14, "r_merge": 0.2},
        **{"r_meas": r_meas, "r_pim": 0.07, "cc_one_half": 0.971, "cc_anom": None},
    }
    return {"datasets": {d: {"merging_stats": {"overall": overall}} for d in datasets}}


def write(folder: Path, content: dict) -> Path:
    folder.mkdir(parents=True)
    text = json.dumps(content)
    (folder / "xia2.multiplex.json").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("inside", [".", "Processing"])
def test_statistics_are_found_where_each_release_writes_them(tmp_path, inside):
    write(tmp_path / "before" / inside, document(0.221, 1.04))
    found = statistics_of(tmp_path / "before")
    assert {*found} == {"All data"}
    assert found["All data"]["d_min"] == pytest.approx(1.04)
    assert found["All data"]["r_meas"] == 0.221


def test_a_run_without_statistics_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"no xia2\.multiplex\.json"):
        statistics_of(tmp_path)


def test_runs_stand_side_by_side(tmp_path):
    both = ("All data", "cluster 4")
    runs = {
        "before scaling": statistics_of(
            write(tmp_path / "a", document(0.221, 1.04, both))
        ),
        "after scaling": statistics_of(write(tmp_path / "b", document(0.239, 1.04))),
    }
    tables, told = comparison(runs)
    assert [t.title for t in tables] == ["All data", "cluster 4"]
    assert tables[0].header == ["", "before scaling", "after scaling"]
    rows = {name: cells for name, *cells in tables[0].rows}
    assert rows["R_meas"] == ["0.221", "0.239"]
    assert rows["observations"] == ["10,535", "10,535"]
    assert rows["completeness [%]"] == ["89.1", "89.1"]
    assert rows["d_min [Å]"] == ["1.04", "1.04"]
    assert {cells[-1] for cells in tables[1].rows} == {""}
    assert told[0].startswith(
        "before scaling and after scaling: R_meas 0.221 and 0.239"
    )
    assert not any("limits differ" in sentence for sentence in told)


def test_other_reflections_are_not_compared_in_silence(tmp_path):
    runs = {
        name: statistics_of(write(tmp_path / name, document(0.2, d_min)))
        for name, d_min in (("before", 1.04), ("after", 0.98))
    }
    assert any("limits differ" in sentence for sentence in comparison(runs)[1])


@pytest.mark.slow
@pytest.mark.parametrize("args", [["a.expt", "a.refl"], ["-h"]])
def test_without_xia2_there_is_one_line(tmp_path, args):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_XIA2, *args],
        **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True},
    )
    assert result.returncode == 1
    lines = (result.stdout + result.stderr).strip().splitlines()
    assert len(lines) == 1 and "xia2 is not installed" in lines[0]
    assert list(tmp_path.iterdir()) == []
