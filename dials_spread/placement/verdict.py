"""
Which branch to take, said in a sentence, from resampled differences.

Rules. A difference counts where its 95 % interval leaves no doubt about the sign and it
is not smaller than what matters. The best branch is named where it is better than no
correction in this sense; where another correcting branch is not worse in this sense, both
are named. Where no correction is so much better than all others, the sentence says so.
Else it says that no difference is shown, and how large one could still be.

Functions:
    judge: the verdict
    qualified: where refinement speaks against it
    structure_does_not_fit: the verdict where there can be none
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, NONE, OWN, TITLES
from dials_spread.placement.differences import Difference

SMALLEST = 0.01
"""A smaller difference of R1 decides nothing about a structure."""

CORRECTED = (BEFORE, AFTER, OWN)
IMPERATIVES = {
    BEFORE: "correct before scaling",
    AFTER: "correct after scaling",
    OWN: "correct with the own model, before scaling",
    LORENTZ: "apply the Lorentz factor, nothing else",
    NONE: "do not correct",
}


@dataclass(frozen=True)
class PlacementVerdict:
    """
    What the comparison says.

    Attributes:
        kind: "correct", "do not correct", "no difference" or "not known".
        best: The branch whose files are to be taken.
        equal: Other branches that are as good, as far as can be told.
        headline: One sentence.
        reasons: Sentences that go with it.
    """

    kind: str
    best: str
    equal: tuple[str, ...]
    headline: str
    reasons: tuple[str, ...]

    def as_dict(self) -> dict:
        """Give what goes into a JSON file."""
        return {
            "kind": self.kind,
            "best": self.best,
            "equal": list(self.equal),
            "headline": self.headline,
            "reasons": list(self.reasons),
        }


def _between(found: Sequence[Difference], lower: str, higher: str) -> Difference:
    """Give the difference "higher" less "lower", whatever its sign."""
    for d in found:
        if (d.better, d.worse) == (lower, higher):
            return d
        if (d.better, d.worse) == (higher, lower):
            return Difference(lower, higher, d.figure, -d.value, -d.high, -d.low)
    raise KeyError(f"no difference of {lower} and {higher}")


def told(d: Difference) -> str:
    """Write a difference with its interval: 0.052 (0.031 to 0.074)."""
    value, low, high = (_number(x) for x in (d.value, d.low, d.high))
    return f"{value} ({low} to {high})" if np.isfinite(d.low) else value


def _number(x: float) -> str:
    """Three decimals with a true minus, and no minus before zero."""
    return f"{round(x, 3) + 0.0:.3f}".replace("-", "−")


def _matters(d: Difference, smallest: float) -> bool:
    return d.certain and d.value >= smallest


def judge(
    r1: Mapping[str, float],
    found: Sequence[Difference],
    smallest: float = SMALLEST,
) -> PlacementVerdict:
    """
    Judge by R1 against a structure, on common reflections.

    Args:
        r1: By branch.
        found: Differences between all pairs.
        smallest: Least difference that matters.
    """
    if NONE not in r1 or len(r1) < 2:
        return _unknown(r1)
    ranked = sorted(r1, key=lambda name: r1[name])
    plain = [name for name in (NONE, LORENTZ) if name in r1]
    # What needs no model of scattering is the yardstick: the better of the two.
    base = min(plain, key=lambda name: r1[name])
    corrected = [name for name in ranked if name in CORRECTED]
    winners = [c for c in corrected if _matters(_between(found, c, base), smallest)]
    if winners:
        return _correct(winners[0], base, r1, found, smallest)
    harmed = [c for c in corrected if _matters(_between(found, base, c), smallest)]
    if base == LORENTZ and _matters(_between(found, LORENTZ, NONE), smallest):
        return _lorentz(r1, found, corrected, smallest)
    if corrected and len(harmed) == len(corrected):
        return _leave(base, r1, found, corrected)
    return _no_difference(base, r1, found, corrected, smallest)


def qualified(
    verdict: PlacementVerdict, r1: Mapping[str, float], refined: Sequence[Difference]
) -> PlacementVerdict:
    """
    Say in the headline where refined R1 speaks against it: R1 alone is no verdict.

    Args:
        verdict: By R1 against the structure as it is.
        r1: By branch, of that.
        refined: Differences of refined R1, between all pairs that were refined.

    Returns:
        The verdict itself, but for "correct" where the best branch refines certainly
        worse than the better one without correction.
    """
    plain = [name for name in (NONE, LORENTZ) if name in r1]
    named = {name for d in refined for name in (d.better, d.worse)}
    if verdict.kind != "correct" or not plain:
        return verdict
    base = min(plain, key=lambda name: r1[name])
    if not {verdict.best, base} <= named:
        return verdict
    worse = _between(refined, base, verdict.best)
    if not worse.certain:
        return verdict
    headline = (
        f"Not certain, the figures contradict each other: R1 against Fc is lower "
        f"{_than(verdict.best)}, R1 after refinement higher, by {told(worse)}. "
        f"By R1 against Fc alone: {verdict.headline[0].lower()}{verdict.headline[1:]}"
    )
    return replace(verdict, headline=headline)


def _unknown(r1: Mapping[str, float]) -> PlacementVerdict:
    there = ", ".join(TITLES[name] for name in r1) or "none"
    return PlacementVerdict(
        "not known", next(iter(r1), NONE), (),
        f"Not known: only one way of treating the data came to an end ({there}).", (),
    )  # fmt: skip


def structure_does_not_fit(r1: Mapping[str, float]) -> PlacementVerdict:
    """Give the verdict where the structure says nothing of the data."""
    return PlacementVerdict(
        "not known", NONE if NONE in r1 else next(iter(r1)), (),
        "Not known: R1 against this structure is hardly better than expected by chance, "
        "so that differences of R1 say nothing.", (),
    )  # fmt: skip


def _than(name: str) -> str:
    return {
        NONE: "without correction",
        LORENTZ: "with the Lorentz factor alone",
        BEFORE: "corrected before scaling",
        AFTER: "corrected after scaling",
        OWN: "with the own model",
    }[name]


def _compared(
    best: str, others: Sequence[str], found: Sequence[Difference], word: str
) -> str:
    parts = [f"by {told(_between(found, best, o))} than {_than(o)}" for o in others]
    return f"R1 {word} " + ", ".join(parts)


def _correct(
    best: str,
    base: str,
    r1: Mapping[str, float],
    found: Sequence[Difference],
    smallest: float,
) -> PlacementVerdict:
    rivals = [name for name in CORRECTED if name in r1 and name != best]
    equal = tuple(o for o in rivals if not _matters(_between(found, best, o), smallest))
    worse = [o for o in rivals if o not in equal]
    order = [base, *worse]
    if LORENTZ in r1 and base == NONE:
        order.append(LORENTZ)
    if NONE in r1 and base == LORENTZ:
        order.append(NONE)
    text = IMPERATIVES[best]
    if {best, *equal} >= {BEFORE, AFTER}:
        text = "correct, before or after scaling"
    headline = f"{text[0].upper()}{text[1:]}: {_compared(best, order, found, 'lower')}."
    reasons = []
    for other in equal:
        reasons.append(
            f"R1 is lowest {_than(best)}; {_than(other)} it is higher by "
            f"{told(_between(found, best, other))}: no difference that matters."
        )
    return PlacementVerdict("correct", best, equal, headline, tuple(reasons))


def _lorentz(
    r1: Mapping[str, float],
    found: Sequence[Difference],
    corrected: Sequence[str],
    smallest: float,
) -> PlacementVerdict:
    gain = _between(found, LORENTZ, NONE)
    headline = (
        f"Apply the Lorentz factor, nothing else: R1 lower by {told(gain)} than without "
        "it; the correction adds no improvement that is shown."
    )
    equal = tuple(
        c for c in corrected if not _matters(_between(found, LORENTZ, c), smallest)
    )
    return PlacementVerdict("do not correct", LORENTZ, equal, headline, ())


def _leave(
    base: str,
    r1: Mapping[str, float],
    found: Sequence[Difference],
    corrected: Sequence[str],
) -> PlacementVerdict:
    headline = f"Do not correct: {_compared(base, corrected, found, 'lower')}."
    return PlacementVerdict("do not correct", base, (), headline, ())


def _no_difference(
    base: str,
    r1: Mapping[str, float],
    found: Sequence[Difference],
    corrected: Sequence[str],
    smallest: float,
) -> PlacementVerdict:
    parts = []
    for name in corrected:
        d = _between(found, name, base)
        word = "lower" if d.value >= 0 else "higher"
        shown = d if d.value >= 0 else _between(found, base, name)
        parts.append(f"{word} by {told(shown)} {_than(name)}")
    rest = "; ".join(parts)
    headline = (
        f"No difference that matters is shown: R1 is {rest} than {_than(base)}."
        if parts
        else "No branch with a correction came to an end."
    )
    reasons = [
        f"A difference counts from {smallest:g} in R1, where its 95 % interval does not "
        "contain zero. Take the data without correction: nothing is gained by another "
        "step."
    ]
    return PlacementVerdict(
        "no difference", base, tuple(corrected), headline, tuple(reasons)
    )
