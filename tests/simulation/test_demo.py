from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from dials.array_family import flex
from dxtbx.model.experiment_list import ExperimentList

from dials_spread.simulation.demo import run

MODULE = [sys.executable, "-m", "dials_spread.simulation.demo"]


def test_files_read_back(tmp_path, capsys):
    run([str(tmp_path / "new"), "--crystals", "3", "--wave", "kinematic"])
    assert "simulated.expt" in capsys.readouterr().out
    experiments = ExperimentList.from_file(
        tmp_path / "new" / "simulated.expt", check_format=False
    )
    reflections = flex.reflection_table.from_file(tmp_path / "new" / "simulated.refl")
    assert len(experiments) == 3
    assert dict(reflections.experiment_identifiers()) == {
        i: e.identifier for i, e in enumerate(experiments)
    }
    assert len(reflections) > 3000
    assert experiments[0].scan.get_num_images() == 60


def test_unwritable_folder_is_one_line_and_status_one(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run(
        [*MODULE, str(tmp_path / "file")], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Cannot write to" in done.stderr


def test_no_crystals(tmp_path):
    with pytest.raises(SystemExit) as stop:
        run([str(tmp_path), "--crystals", "0"])
    assert stop.value.code == 2


def test_multiple_scattering_is_the_default(tmp_path):
    run([str(tmp_path), "--crystals", "1", "--seed", "3"])
    reflections = flex.reflection_table.from_file(tmp_path / "simulated.refl")
    kinematic = reflections["intensity.kinematic.value"].as_numpy_array()
    dynamical = reflections["intensity.dynamical.value"].as_numpy_array()
    assert 0.7 < np.corrcoef(kinematic, dynamical)[0, 1] < 0.999
