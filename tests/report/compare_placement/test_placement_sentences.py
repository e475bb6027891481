"""Sentences about branches say what the numbers say, and no more."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dials_spread.placement.best_files import best_files
from dials_spread.placement.differences import Difference
from dials_spread.placement.verdict import judge, structure_does_not_fit
from dials_spread.report.compare_placement.difference_tables import outcome
from dials_spread.report.compare_placement.placement_sentences import (
    compared,
    reasons,
    warnings,
)
from dials_spread.report.compare_placement.placement_steps import next_steps

pytestmark = pytest.mark.slow

SAMPLES = "60 bootstrap samples"


def with_shift(result, low, high, own=None):
    """The result with another interval of the mean shift of its two branches."""
    branch, other = compared(result)
    value = 0.5 * (low + high)
    shift = Difference(other, branch, "mean_shift", value, low, high)
    refined = {**result.refined_differences, "mean_shift": [shift]}
    branches = dict(result.branches)
    shifts = own or (0.02 + value, 0.02)
    for name, mean in zip((branch, other), shifts):
        tests = branches[name].tests
        given = replace(tests.given, mean_shift=mean)
        branches[name] = replace(branches[name], tests=replace(tests, given=given))
    return replace(result, refined_differences=refined, branches=branches)


def positions(result):
    (found,) = [t for t in reasons(result, SAMPLES) if t.startswith("Did positions")]
    return found


@pytest.mark.parametrize(
    "low, high, start, word",
    [
        (0.002, 0.004, "No, they are farther away", "larger by 0.0030 Å"),
        (-0.004, -0.002, "Yes", "smaller by 0.0030 Å"),
        (-0.001, 0.003, "That is not shown", "larger by 0.0010 Å"),
        (-0.003, 0.001, "That is not shown", "smaller by 0.0010 Å"),
    ],
)
def test_positions_are_told_by_their_interval(compared_quartz, low, high, start, word):
    text = positions(with_shift(compared_quartz, low, high))
    answer = text.partition("? ")[2]
    assert answer.startswith(f"{start}: ") and word in answer
    assert ("R1 alone is no verdict" in text) == (start != "Yes")


def test_weights_of_each_branch_have_a_say(compared_quartz, output):
    result = with_shift(compared_quartz, 0.002, 0.004, own=(0.0101, 0.0202))
    assert outcome(result, "mean_shift", *compared(result)) == "depends on weights"
    text = positions(result)
    assert "it depends on the weights" in text and "(0.0101 against 0.0202)" in text
    assert not any("farther" in s.text for s in next_steps(result, output, []))
    agreed = with_shift(compared_quartz, 0.002, 0.004)
    step = next_steps(agreed, output, [])[1]
    assert step.text.startswith("But atoms are farther from the reference than with")
    assert step.command.startswith("dials.export") and "none/scale" in step.command


def test_refined_r1_is_told_by_its_sign(compared_quartz):
    branch, other = compared(compared_quartz)
    for better, worse, answer in (
        (branch, other, "Yes: with weights common to all branches it is lower"),
        (other, branch, "No: with weights common to all branches it is higher"),
    ):
        one = Difference(better, worse, "refined_r1", 0.05, 0.04, 0.06)
        branches = dict(compared_quartz.branches)
        for name, r1 in ((better, 0.10), (worse, 0.15)):
            tests = branches[name].tests
            given = replace(tests.given, r1_strong=r1)
            branches[name] = replace(branches[name], tests=replace(tests, given=given))
        result = replace(
            compared_quartz,
            refined_differences={"refined_r1": [one]},
            branches=branches,
        )
        (text,) = [t for t in reasons(result, SAMPLES) if "refined R1" in t]
        assert answer in text and "0.050 (95 %: 0.040 to 0.060)" in text


def test_one_crystal_says_nothing_of_others(compared_quartz):
    (text,) = [t for t in reasons(compared_quartz, SAMPLES) if "How certain" in t]
    assert compared_quartz.scans
    assert "60 bootstrap samples of 12 parts of scans" in text
    assert "only 1 crystal." in text and "Other crystals may differ by more" in text
    groups = replace(compared_quartz.groups, kind="crystals", n=5)
    observations = SimpleNamespace(identifiers=list("abcde"))
    common = SimpleNamespace(data={"none": observations})
    many = replace(compared_quartz, groups=groups, common=common)
    (text,) = [t for t in reasons(many, SAMPLES) if "How certain" in t]
    assert "of 5 crystals" in text and "parts of scans" not in text


def test_a_failed_branch_is_a_warning(compared_quartz):
    told = " ".join(warnings(compared_quartz))
    assert "“own model, before scaling” did not come to an end" in told
    assert compared_quartz.branches["own"].failed.splitlines()[-1].strip() in told


def test_independence_of_the_structure(compared_quartz, solved_here):
    assert not any("solved here" in t for t in warnings(compared_quartz))
    assert compared_quartz.verdict.kind == "correct"
    told = [t for t in reasons(compared_quartz, SAMPLES) if "independent" in t]
    assert len(told) == 1 and "favour no correction" in told[0]
    own = [t for t in warnings(solved_here) if "not independent" in t]
    assert len(own) == 1 and "“corrected before scaling”" in own[0]
    assert not any("favour no correction" in t for t in reasons(solved_here, SAMPLES))
    for low, high in ((0.002, 0.004), (-0.004, -0.002)):
        answer = positions(with_shift(solved_here, low, high)).partition("? ")[2]
        assert answer.startswith(
            "Not known, as the reference was solved from these data"
        )


def verdict_of(result, r1):
    """The result as it would be with other R1, none of them in doubt."""
    names = sorted(r1, key=lambda name: r1[name])
    found = [
        Difference(
            a, b, "r1", r1[b] - r1[a], r1[b] - r1[a] - 0.002, r1[b] - r1[a] + 0.002
        )
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return replace(result, differences=found, verdict=judge(r1, found))


@pytest.mark.parametrize(
    "r1, kind, start",
    [
        (
            {"none": 0.2, "before": 0.15, "after": 0.18},
            "correct",
            "Go on with “corrected before scaling”.",
        ),
        (
            {"none": 0.15, "before": 0.2, "after": 0.18},
            "do not correct",
            "Do not correct these data: go on with “no correction”.",
        ),
        (
            {"none": 0.15, "before": 0.149, "after": 0.151},
            "no difference",
            "A correction is not shown to change R1 by as much as matters",
        ),
    ],
)
def test_next_steps_follow_the_verdict(compared_quartz, r1, kind, start, output):
    result = verdict_of(compared_quartz, r1)
    assert result.verdict.kind == kind
    first, *others = next_steps(result, output, ["best.ins", "best.hkl"])
    assert first.text.startswith(start)
    assert "shelxl best" in [step.command for step in others]
    files = [str(f) for f in result.branches[result.verdict.best].data.files]
    folder = "/".join(files[0].split("/")[-3:-1])
    exported = [s.command for s in others if s.command.endswith(" format=shelx")]
    assert len(exported) == 1 and folder in exported[0]
    steps = next_steps(result, output, [])
    assert not any("best.ins" in s.text for s in steps)
    if kind != "correct":
        told = " ".join(warnings(result))
        assert "favour no correction, and this verdict with them" in told


def test_files_of_two_names_are_no_command(compared_quartz, output):
    output = SimpleNamespace(**{**vars(output), "hkl": "other.hkl"})
    steps = next_steps(compared_quartz, output, ["best.ins", "other.hkl"])
    assert not any(s.command.startswith("shelxl") for s in steps)
    assert any("under one name" in s.text for s in steps)
    steps = next_steps(compared_quartz, output, ["other.hkl"])
    assert any(s.text.startswith("other.hkl (HKLF 4)") for s in steps)


def test_sentences_are_finished(compared_quartz, solved_here):
    for result in (compared_quartz, solved_here):
        for text in [*reasons(result, SAMPLES), *warnings(result)]:
            assert text.endswith("."), text
            assert not re.search(r"nan|None|  ", text), text


def test_a_structure_that_does_not_fit_is_not_gone_on_with(compared_quartz, output):
    """R1 0.734, and 0.775(17) with shuffled amplitudes: its atoms are not written."""
    match = compared_quartz.known.match
    best = replace(match.settings[0], r1=0.734)
    match = replace(match, settings=(best,), chance_r1=0.775, chance_sd=0.017)
    known = replace(compared_quartz.known, match=match)
    verdict = structure_does_not_fit({"none": 0.719, "before": 0.735})
    wrong = replace(compared_quartz, known=known, verdict=verdict)
    files = best_files(wrong, output)
    assert list(files) == ["best.hkl"]
    first, second, *_ = next_steps(wrong, output, files)
    assert first.text.startswith("Repeat the command with another structure=")
    assert "best.hkl" in second.text and second.command != "shelxl best"
