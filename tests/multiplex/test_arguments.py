"""The parameters are those of xia2.multiplex and of dials.ml_correct, and reach the step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import iotbx.phil

from dials_spread.arguments import argument_problems
from dials_spread.command_line import ml_correct
from dials_spread.multiplex.arguments import (
    NOT_PASSED,
    absolute_arguments,
    correct_scope,
    in_words_of_xia2,
    make_plan,
    read_plan,
    with_correction,
)

# A part of what xia2.multiplex has, in the same words.
OF_XIA2 = iotbx.phil.parse(
    "resolution { d_min = None\n.type = float\n}\n"
    "symmetry { resolve_indexing_ambiguity = True\n.type = bool\n}\n"
    "nproc = Auto\n.type = int(value_min=1)\n"
    "output { log = xia2.multiplex.log\n.type = str\n}"
)


def definitions(scope) -> dict:
    return {d.path: d.object for d in scope.all_definitions()}


def plan_of(*arguments: str):
    scope = correct_scope()
    interpreter = scope.command_line_argument_interpreter()
    found = scope.fetch(sources=[interpreter.process(a) for a in arguments])
    return make_plan(found.extract().correct)


def test_every_option_of_the_correction_is_there_and_the_same():
    ours = definitions(correct_scope())
    del ours["correct.placement"]
    theirs = {
        path: d
        for path, d in definitions(ml_correct.phil_scope).items()
        if path.partition(".")[0] not in {*NOT_PASSED, "output"}
        or path == "output.composition"
    }
    assert {*ours} == {f"correct.{path}" for path in theirs}
    assert {"strength", "lorentz", "model", "reference", "force"} <= {*theirs}
    for path, definition in theirs.items():
        other = ours[f"correct.{path}"]
        assert other.as_str(attributes_level=3) == definition.as_str(attributes_level=3)


def test_no_option_of_xia2_is_lost_or_changed():
    before = OF_XIA2.as_str(attributes_level=3)
    joined = with_correction(OF_XIA2)
    assert OF_XIA2.as_str(attributes_level=3) == before
    expected = {*definitions(OF_XIA2), *definitions(correct_scope())}
    assert {*definitions(joined)} == expected
    interpreter = joined.command_line_argument_interpreter()
    params = joined.fetch(
        sources=[
            interpreter.process("resolution.d_min=0.9"),
            interpreter.process("correct.strength=0.5"),
        ]
    ).extract()
    assert (params.resolution.d_min, params.correct.strength) == (0.9, 0.5)
    assert params.output.log == "xia2.multiplex.log"


def test_messages_name_the_options_that_are_taken():
    told = "lorentz=missing says so; force=True corrects, undo=True and unit_cell=1 not"
    expected = "correct.lorentz=missing says so; correct.force=True corrects, undo=True"
    assert in_words_of_xia2(told) == f"{expected} and unit_cell=1 not"
    assert in_words_of_xia2(f"see correct.force=True {expected}").count("correct.") == 3


def test_defaults_need_no_arguments():
    plan = plan_of()
    assert (plan.placement, plan.arguments, plan.nproc) == ("before", (), None)


def test_what_is_chosen_reaches_the_step():
    plan = plan_of(
        *("correct.placement=after", "correct.strength=0.5", "correct.force=True"),
        *("correct.lorentz=applied", "correct.reference=quartz", "correct.nproc=3"),
    )
    assert plan.placement == "after" and plan.force and plan.nproc == 3
    assert {*plan.arguments} == {
        *("strength=0.5", "force=True", "lorentz=applied", "reference=quartz")
    }
    assert argument_problems(ml_correct.phil_scope, plan.arguments) == []


def test_a_composition_reaches_the_step_and_is_looked_at_first():
    plan = plan_of(
        "correct.structure=solve", "correct.output.composition=C 8 H 9 N O 2"
    )
    assert {*plan.arguments} == {
        *("structure=solve", "output.composition=C 8 H 9 N O 2")
    }
    assert argument_problems(ml_correct.phil_scope, plan.arguments) == []
    with pytest.raises(ValueError, match="composition"):
        plan_of("correct.structure=solve", "correct.output.composition=Xx 3")
    told = in_words_of_xia2("output.composition=C is not said")
    assert told == "correct.output.composition=C is not said"


def test_files_are_found_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.model").touch()
    (tmp_path / "my structure.cif").touch()
    plan = plan_of("correct.model=my.model", 'correct.reference="my structure.cif"')
    assert plan.model == str(tmp_path / "my.model")
    assert f"model={tmp_path / 'my.model'}" in plan.arguments
    assert f"reference={tmp_path / 'my structure.cif'}" in plan.arguments


def test_arguments_mean_the_same_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.expt", "ref.mtz"):
        (tmp_path / name).touch()
    (tmp_path / "my.phil").write_text(
        "reference = ref.mtz\nresolution { d_min = 0.9 }\n", encoding="utf-8"
    )
    args = ["a.expt", "input.experiments=a.expt", "my.phil", "nproc=2", "-v", "no.refl"]
    assert absolute_arguments(args) == [
        *(f"{tmp_path}/a.expt", f"input.experiments={tmp_path}/a.expt"),
        *(f"reference={tmp_path}/ref.mtz", "resolution.d_min=0.9"),
        *("nproc=2", "-v", "no.refl"),
    ]


def test_the_command_line_is_read_without_the_data(tmp_path):
    args = ["no.expt", "no.refl", "correct.placement=both", "resolution.d_min=0.9"]
    assert read_plan(OF_XIA2, args, "usage", "help").placement == "both"


@pytest.mark.parametrize("wrong", ["correct.strenght=1", "correct.output.log=x"])
def test_parameters_that_do_not_exist_are_refused(wrong):
    with pytest.raises(ValueError):
        read_plan(OF_XIA2, [wrong], "usage", "help")


def test_the_page_shows_what_is_taken():
    text = (Path(__file__).parents[2] / "docs" / "xia2.rst").read_text("utf-8")
    shown = {*re.findall(r"\bcorrect\.[a-z_]+=\w[\w.]*", text)}
    assert len(shown) >= 8
    interpreter = correct_scope().command_line_argument_interpreter()
    for argument in shown:
        correct_scope().fetch(source=interpreter.process(argument)).extract()


def test_what_becomes_of_outliers_is_handed_on():
    assert plan_of().arguments == ()
    assert plan_of("correct.keep_outliers=False").arguments == ("keep_outliers=False",)
