"""
What a comparison of placements says, in sentences.

Functions:
    reasons: what goes with the verdict, as questions and answers
    warnings: what must be read before anything is done
    data_sentences: how the figures are defined
    facts: data and structure, as names and values
    compared: the two branches that the sentences are about
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, MERGED, NONE, OWN
from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.branch_tables import decimals, failed_step
from dials_spread.report.compare_placement.difference_tables import (
    BranchChange,
    change,
    outcome,
    own_weights,
)
from dials_spread.report.compare_placement.structure_tables import has_refinement
from dials_spread.report.page.intervals import with_interval
from dials_spread.report.page.labels import counted

CORRECTED = (BEFORE, AFTER, OWN)
PLAIN = (NONE, LORENTZ)


def title(result: PlacementComparison, name: str) -> str:
    """Give the name of a branch as sentences have it."""
    return f"“{result.branches[name].branch.title}”"


def _best_of(result: PlacementComparison, names: tuple[str, ...]) -> str | None:
    """Give the branch of lowest R1 on common reflections; None without one."""
    r1 = {
        name: b.r1_common.r1
        for name, b in result.finished.items()
        if name in names and b.r1_common is not None and np.isfinite(b.r1_common.r1)
    }
    return min(r1, key=lambda name: r1[name]) if r1 else None


def compared(result: PlacementComparison) -> tuple[str, str] | None:
    """
    Name the corrected branch and the uncorrected one that sentences are about.

    Args:
        result: The comparison.

    Returns:
        The best branch of the verdict, or the best corrected one where that is not
        corrected; and the better of those without correction. None without both.
    """
    best = result.verdict.best
    corrected = best if best in CORRECTED else _best_of(result, CORRECTED)
    plain = _best_of(result, PLAIN)
    return (corrected, plain) if corrected and plain else None


def reasons(result: PlacementComparison, samples: str) -> list[str]:
    """
    Give what goes with the verdict.

    Args:
        result: The comparison.
        samples: Such as "300 bootstrap samples".
    """
    if not result.differences:
        return [*result.verdict.reasons]
    told = [*result.verdict.reasons, *_refined(result), _certainty(result, samples)]
    if result.verdict.kind == "correct" and not result.known.solved_from:
        told.append(
            f"Is the reference independent? {_refined_on_these(result)}; the true gain "
            "would then rather be larger."
        )
    return told


def _written(found: BranchChange, n: int, unit: str = "") -> str:
    """Write the size of a change with its interval, the end nearer to zero first."""
    value, low, high = found
    if value < 0:
        value, low, high = -value, -high, -low
    return with_interval(value, low, high, lambda x: decimals(x, n) + unit)


def _refined(result: PlacementComparison) -> list[str]:
    """Say whether refined R1 and the positions of atoms agree with the verdict."""
    pair = compared(result)
    if pair is None:
        return []
    told = [_r1_answer(result, *pair), _shift_answer(result, *pair)]
    found = [text for text in told if text]
    return found or [
        f"Do refined structures agree? {title(result, pair[0])} and "
        f"{title(result, pair[1])} could not be compared refined, and R1 alone is no "
        "verdict on a structure."
    ]


def _than(result: PlacementComparison, branch: str, other: str) -> str:
    return f"with {title(result, branch)} than with {title(result, other)}"


def _by_weights(
    result: PlacementComparison, figure: str, branch: str, other: str, n: int
) -> str:
    """Say that weights of each branch give another sign."""
    own = own_weights(result, figure, branch, other)
    assert own is not None  # outcome() says "depends on weights" of these alone
    first, second = (decimals(x, n) for x in own)
    return (
        f", but the other way round with weights refined for each branch ({first} against "
        f"{second})"
    )


NOT_TOLD = {
    "no interval": "Not known, there is no interval",
    "not shown": "That is not shown",
    "depends on weights": "That is not shown, it depends on the weights",
}
"""How an answer begins where refined figures do not tell."""


def _r1_answer(result: PlacementComparison, branch: str, other: str) -> str:
    """Say whether refined R1 agrees; nothing where it was not compared."""
    figure = "refined_r1"
    found = change(result.refined_differences.get(figure, []), branch, other)
    if found is None:
        return ""
    agrees = (found.value < 0) == (result.verdict.kind == "correct")
    how = outcome(result, figure, branch, other)
    start = NOT_TOLD.get(how, "Yes" if agrees else "No")
    word = "lower" if found.value < 0 else "higher"
    return (
        f"Does refined R1 agree? {start}: with weights common to all branches it is {word} "
        f"by {_size(result, figure, branch, other, found, 3)}."
    )


def _shift_answer(result: PlacementComparison, branch: str, other: str) -> str:
    """Say whether atoms came nearer; nothing where that was not compared."""
    figure = "mean_shift"
    found = change(result.refined_differences.get(figure, []), branch, other)
    if found is None:
        return ""
    nearer = "Yes" if found.value < 0 else "No, they are farther away"
    start = NOT_TOLD.get(outcome(result, figure, branch, other), nearer)
    if result.known.solved_from:
        start = "Not known, as the reference was solved from these data"
    word = "smaller" if found.value < 0 else "larger"
    return (
        f"Did positions come nearer to the reference? {start}: with weights common to all "
        f"branches the mean distance of atoms from it is {word} by "
        f"{_size(result, figure, branch, other, found, 4, ' Å')}."
        + ("" if start == "Yes" else " R1 alone is no verdict on a structure.")
    )


def _size(
    result: PlacementComparison,
    figure: str,
    branch: str,
    other: str,
    found: BranchChange,
    n: int,
    unit: str = "",
) -> str:
    """Write a change between two branches, with what else is to be known of it."""
    text = f"{_written(found, n, unit)} {_than(result, branch, other)}"
    tests = result.branches[branch].tests
    if figure == "mean_shift" and tests and tests.given:
        su = tests.given.mean_su
        if np.isfinite(su):
            text += f" (mean su of a coordinate {decimals(su, n)}{unit})"
    if outcome(result, figure, branch, other) == "depends on weights":
        text += _by_weights(result, figure, branch, other, n)
    return text


def _certainty(result: PlacementComparison, samples: str) -> str:
    groups = result.groups
    n_crystals = len(next(iter(result.common.data.values())).identifiers)
    if not result.scans:
        of = counted(n_crystals, "crystal")
        if groups.n < n_crystals:
            of += f" in {groups.n} groups"
        return (
            f"How certain is that? Intervals are of 95 %, from {samples} of {of}, for the "
            "mean over such crystals; from fewer than ten they are themselves uncertain. "
            "dials.scale is not run anew for them, so how its scales would change is not in "
            "them."
        )
    return (
        f"How certain is that? Intervals are of 95 %, from {samples} of {groups.n} parts "
        f"of scans, as there {'is' if n_crystals == 1 else 'are'} only "
        f"{counted(n_crystals, 'crystal')}. Other crystals may differ by more than these "
        "intervals say."
    )


def warnings(result: PlacementComparison) -> list[str]:
    """
    Say what must be read before anything is done.

    Args:
        result: The comparison.
    """
    told = []
    for name, branch in result.branches.items():
        if branch.failed:
            where = failed_step(branch)
            how = f": {where} failed" if where else " cannot be read"
            last = branch.failed.splitlines()[-1].strip()
            told.append(
                f"{title(result, name)} did not come to an end{how} (“{last}”). The "
                "comparison is of the others; all last lines are in a table below."
            )
    told += result.known.match.warnings
    told += _independence(result)
    open_ = _unfinished(result)
    if open_:
        told.append(
            f"The refinement with common weights did not converge for {open_}, so refined "
            "R1 and shifts of these are not compared."
        )
    return told


def _unfinished(result: PlacementComparison) -> str:
    """Name the branches whose refinement behind the differences did not converge."""
    return ", ".join(
        title(result, name)
        for name, b in result.finished.items()
        if b.tests is not None
        and b.tests.common_weights is not None
        and not b.tests.common_weights.converged
    )


def _independence(result: PlacementComparison) -> list[str]:
    """Say what the structure owes to the data."""
    if result.known.solved_from:
        parts = [
            f"The structure was solved here from {title(result, result.known.solved_from)}"
            ", so it is not independent of the data: R1 and shifts favour that branch.",
            result.known.how_sure,
            "Give structure= to compare with another one.",
        ]
        return [" ".join(part for part in parts if part)]
    if result.verdict.kind in ("correct", "not known"):
        return []
    return [
        f"{_refined_on_these(result)}, and this verdict with them. Compare with a "
        "structure from other data if so."
    ]


def _refined_on_these(result: PlacementComparison) -> str:
    """Begin to say what a reference that owes its coordinates to the data would do."""
    name = Path(result.known.reference.source).name
    return (
        f"If {name} was refined against these very data without correction, R1 against "
        "it and shifts from it favour no correction"
    )


def data_sentences(result: PlacementComparison) -> list[str]:
    """
    Say how the figures are defined, and what was left out.

    Args:
        result: The comparison.
    """
    told = [
        "Branches reject different outliers and so keep different observations: without "
        "correction, those that dials.scale accepted, and after a correction of scaled data "
        "those that it rejected as well, except for gross ones. They are compared on the "
        "reflections that all of them have. Strong ones have I > 2σ in "
        "the mean over branches, one choice for all, as large σ of a branch would "
        "otherwise flatter it.",
        "R1 against kinematic Fc is Σ|k exp(−B/4d²) Fo − Fc| / ΣFc: scale k and overall B "
        "are fitted, the structure stays as it is, and its own errors are in it.",
    ]
    if has_refinement(result):
        told.append(
            "Refined R1 is Σ||Fo| − |Fc|| / Σ|Fo| after least squares, as in SHELXL: full "
            "matrix on F² (smtbx, as in olex2.refine), electron form factors, riding "
            "hydrogen, the same start for all branches. Shifts are of atoms other than "
            "hydrogen, without what is common to all along polar axes. It is not comparable "
            "with R1 against kinematic Fc: it divides by ΣFo, and its least squares are on F² "
            "with weights, which seek no least R1 and may even raise it."
        )
    if MERGED in result.finished:
        told.append(
            f"{title(result, MERGED)} are the amplitudes that dials.ml_correct gives with "
            "output.merged= before scaling. They have no observations that could be "
            "resampled, so they have no intervals and no part in the verdict."
        )
    return [*told, *result.left_out.values()]


def facts(result: PlacementComparison) -> list[tuple[str, str]]:
    """
    Give data and structure as names and values.

    Args:
        result: The comparison.
    """
    common, known = result.common, result.known
    observations = next(iter(common.data.values())).observations
    cell = ", ".join(f"{x:.2f}" for x in observations.unit_cell.parameters())
    name = Path(known.reference.source).name
    if known.solved_from:
        name = f"solved here from {title(result, known.solved_from)}"
    return [
        ("structure", name),
        ("its atoms", f"{known.structure.scatterers().size():,}"),
        ("indices of data → structure", known.choice.symbol),
        ("space group of the data", str(observations.space_group.info())),
        ("unit cell [Å, °]", cell),
        ("crystals", f"{observations.n_crystals:,}"),
        ("unique reflections of any branch", f"{len(common.unique_index):,}"),
        ("those that all branches have", f"{int(common.in_all.sum()):,}"),
        ("resolution [Å]", f"{common.d_spacing.max():.2f} – {common.d_spacing.min():.2f}"),
    ]  # fmt: skip
