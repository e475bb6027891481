"""The plan of branches."""

from __future__ import annotations

from pathlib import Path

from dials_spread.placement.branches import plan


def test_three_ways_and_the_lorentz_factor():
    branches, steps = plan(["model=KB"], ["strength=0.5"])
    assert [b.name for b in branches] == ["none", "lorentz", "before", "after"]
    by_name = {s.name: s for s in steps}
    for name in ("none/scale", "before/scale", "lorentz/scale"):
        assert by_name[name].arguments[0] == "model=KB"
    for name in ("before/correct", "after/correct", "lorentz/correct"):
        assert by_name[name].arguments[0] == "strength=0.5"
    assert by_name["after/correct"].needs == "none/scale"
    assert by_name["before/scale"].needs == "before/correct"
    # The last word counts: strength=0 comes after what a user gave.
    assert by_name["lorentz/correct"].arguments[-1] == "strength=0"
    assert branches[-1].steps == ("none/scale", "after/correct")


def test_own_model_has_a_branch():
    branches, steps = plan(own_model=Path("mine.model"))
    assert branches[-1].name == "own"
    (step,) = [s for s in steps if s.name == "own/correct"]
    assert "model=mine.model" in step.arguments


def test_steps_come_after_what_they_need():
    _, steps = plan(own_model=Path("x"))
    seen = {""}
    for step in steps:
        assert step.needs in seen
        seen.add(step.name)
