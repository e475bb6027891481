"""The verdict follows the differences, by its rules."""

from __future__ import annotations

import pytest

from dials_spread.placement.differences import Difference
from dials_spread.placement.verdict import (
    judge,
    qualified,
    structure_does_not_fit,
    told,
)


def all_pairs(r1: dict[str, float], half: float = 0.005) -> list[Difference]:
    names = sorted(r1, key=lambda n: r1[n])
    return [
        Difference(
            a, b, "r1", r1[b] - r1[a], r1[b] - r1[a] - half, r1[b] - r1[a] + half
        )
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]


def verdict(half: float = 0.005, **r1: float):
    return judge(r1, all_pairs(r1, half))


def test_before_is_better_than_all():
    found = verdict(none=0.25, before=0.13, after=0.18)
    assert (found.kind, found.best, found.equal) == ("correct", "before", ())
    assert found.headline == (
        "Correct before scaling: R1 lower by 0.120 (0.115 to 0.125) than without "
        "correction, by 0.050 (0.045 to 0.055) than corrected after scaling."
    )


def test_two_placements_are_equal():
    found = verdict(none=0.25, before=0.135, after=0.13)
    assert (found.kind, found.best, found.equal) == ("correct", "after", ("before",))
    assert found.headline.startswith(
        "Correct, before or after scaling: R1 lower by 0.120 (0.115 to 0.125) than"
    )
    assert found.reasons == (
        "R1 is lowest corrected after scaling; corrected before scaling it is higher by "
        "0.005 (0.000 to 0.010): no difference that matters.",
    )


def test_certain_but_small_is_no_difference():
    found = verdict(half=0.001, none=0.105, before=0.1, after=0.1)
    assert (found.kind, found.best) == ("no difference", "none")
    assert "lower by 0.005" in found.headline


def test_large_but_uncertain_is_no_difference():
    found = verdict(half=0.2, none=0.25, before=0.13, after=0.14)
    assert found.kind == "no difference"


def test_harm_is_said():
    found = verdict(none=0.05, before=0.08, after=0.09)
    assert (found.kind, found.best) == ("do not correct", "none")
    assert found.headline.startswith(
        "Do not correct: R1 lower by 0.030 (0.025 to 0.035) than corrected before"
    )


def test_lorentz_factor_is_the_yardstick_where_it_helps():
    gain = verdict(none=0.27, lorentz=0.236, before=0.204, after=0.215)
    assert (gain.kind, gain.best) == ("correct", "before")
    assert "0.032 (0.027 to 0.037) than with the Lorentz factor alone" in gain.headline
    alone = verdict(none=0.27, lorentz=0.236, before=0.235, after=0.236)
    assert (alone.kind, alone.best) == ("do not correct", "lorentz")
    assert set(alone.equal) == {"before", "after"}


@pytest.mark.parametrize(
    "r1", [{"none": 0.2}, {"before": 0.2}, {"before": 0.2, "after": 0.1}]
)
def test_nothing_to_compare_with(r1):
    found = judge(r1, all_pairs(r1))
    assert found.kind == "not known"


def test_without_intervals_nothing_is_claimed():
    nan = float("nan")
    found = judge(
        {"none": 0.25, "before": 0.1},
        [Difference("before", "none", "r1", 0.15, nan, nan)],
    )
    assert found.kind == "no difference"


def test_a_structure_that_does_not_fit_says_nothing():
    found = structure_does_not_fit({"before": 0.735, "none": 0.719})
    assert (found.kind, found.best, found.equal) == ("not known", "none", ())
    assert "hardly better than expected by chance" in found.headline


def test_signs_of_an_interval():
    assert told(Difference("a", "b", "r1", 0.002, -0.0024, 0.006)) == (
        "0.002 (−0.002 to 0.006)"
    )
    assert told(Difference("a", "b", "r1", 0.003, -0.0002, 0.005)) == (
        "0.003 (0.000 to 0.005)"
    )


def test_refinement_that_contradicts_is_in_the_headline():
    r1 = {"none": 0.08, "before": 0.06, "after": 0.061}
    said = judge(r1, all_pairs(r1))
    refined = {"none": 0.05, "before": 0.065, "after": 0.07}
    found = qualified(said, r1, all_pairs(refined))
    assert found.headline.startswith(
        "Not certain, the figures contradict each other: R1 against Fc is lower corrected "
        "before scaling, R1 after refinement higher, by 0.015 (0.010 to 0.020). By R1 "
        "against Fc alone: correct, before or after scaling: R1 lower by 0.020"
    )
    assert (found.kind, found.best) == (said.kind, said.best)
    # Agreement, doubt, or no refinement leave it as it is.
    agree = {"none": 0.08, "before": 0.065, "after": 0.07}
    assert qualified(said, r1, all_pairs(agree)) is said
    assert qualified(said, r1, all_pairs(refined, half=0.05)) is said
    assert qualified(said, r1, []) is said
