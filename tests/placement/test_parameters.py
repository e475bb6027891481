"""Parameters of other programs are passed on as they are given."""

from __future__ import annotations

from pathlib import Path

import pytest

import iotbx.phil

from dials_spread.command_line.compare_placement import phil_scope
from dials_spread.placement.parameters import check_choices, passed_on


def extracted(*given: str):
    return phil_scope.fetch(iotbx.phil.parse("\n".join(given))).extract()


def test_nothing_given_is_nothing_passed_on():
    assert passed_on(phil_scope, extracted(), "scale") == []
    assert passed_on(phil_scope, extracted(), "correct") == []


def test_values_and_choices_are_passed_on():
    params = extracted(
        "scale.model=KB", "scale.KB.decay_correction=False", "correct.strength=0.5",
        "scale.cut_data.d_min=0.9",
    )  # fmt: skip
    assert set(passed_on(phil_scope, params, "scale")) == {
        "model=KB", "KB.decay_correction=False", "cut_data.d_min=0.9",
    }  # fmt: skip
    assert passed_on(phil_scope, params, "correct") == ["strength=0.5"]


def test_names_of_files_hold_wherever_a_program_runs(tmp_path, monkeypatch):
    (tmp_path / "mine.model").write_text("x")
    monkeypatch.chdir(tmp_path)
    (told,) = passed_on(phil_scope, extracted("correct.model=mine.model"), "correct")
    name, value = told.split("=")
    assert name == "model" and Path(value) == tmp_path / "mine.model"


@pytest.mark.parametrize(
    "given, name",
    [
        ("scale.output.reflections=x.refl", "scale"),
        ("correct.undo=True", "correct"),
        ("correct.mode=train", "correct"),
        ("correct.output.merged=x.hkl", "correct"),
        (f"correct.output.reflections={'x' * 300}", "correct"),
    ],
)
def test_what_branches_set_is_refused(given, name):
    with pytest.raises(ValueError, match="cannot be given: the branches set it"):
        passed_on(phil_scope, extracted(given), name)


def test_choices_that_can_only_fail_are_refused_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    params = extracted(
        "structure=no.cif", "composition='C 2'", "model=no.model", "folder=file"
    )
    with pytest.raises(ValueError) as told:
        check_choices(params)
    lines = str(told.value).splitlines()
    assert lines == [
        "model=no.model: no such file",
        "composition= is for a structure that is solved; give one of the two",
        "folder=file is no folder",
    ]
    with pytest.raises(ValueError, match="no such folder to make it in"):
        check_choices(extracted("folder=no/such"))
    check_choices(extracted("structure=quartz"))


def test_intervals_need_bootstrap_samples():
    with pytest.raises(RuntimeError, match="less than the minimum"):
        extracted("resampling.draws=0")
