"""
What to do next after a comparison of placements.

Functions:
    next_steps: which files go where, and how other data are treated
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dials_spread.placement.branches import AFTER, BEFORE, LORENTZ, NONE, OWN
from dials_spread.placement.results import PlacementComparison
from dials_spread.report.compare_placement.difference_tables import outcome
from dials_spread.report.compare_placement.placement_sentences import compared
from dials_spread.report.page.log_text import Step

ADVICE = {
    "correct": "Go on with {best}.",
    "do not correct": "Do not correct these data: go on with {best}.",
    "no difference": (
        "A correction is not shown to change R1 by as much as matters: there is nothing to "
        "be gained by another step, go on with {best}."
    ),
    "not known": (
        "Only {best} came to an end, so nothing can be compared. Mend what the last lines "
        "of the programs name (tables of this report), and repeat the command: what was "
        "complete is used again. The files here are of {best}."
    ),
}

WRONG_STRUCTURE = (
    "Repeat the command with another structure=, what the programs wrote is used again; or "
    "without, the structure is solved here then. No .ins is written with the atoms of this "
    "one. The files below are of {best}."
)

WORSE = {
    "refined_r1": "refined R1 is higher",
    "mean_shift": "atoms are farther from the reference",
}
"""What may speak against a verdict."""

INPUT = "integrated.expt integrated.refl"

OTHER_DATA = {
    BEFORE: (f"dials.ml_correct {INPUT}", "dials.scale corrected.expt corrected.refl"),
    AFTER: (f"dials.scale {INPUT}", "dials.ml_correct scaled.expt scaled.refl"),
    LORENTZ: (
        f"dials.ml_correct {INPUT} strength=0",
        "dials.scale corrected.expt corrected.refl",
    ),
    OWN: (
        f"dials.ml_correct {INPUT} model=FILE",
        "dials.scale corrected.expt corrected.refl",
    ),
    NONE: (f"dials.scale {INPUT}",),
}
"""How other data of the same kind are treated like a branch."""


def next_steps(
    result: PlacementComparison, output, written: Iterable[str]
) -> list[Step]:
    """
    Say which files go where.

    Args:
        result: The comparison.
        output: Names of files, as the command's ``output`` scope.
        written: Names of the files that are written.
    """
    verdict = result.verdict
    best = result.branches[verdict.best]
    believed = result.known.match.believed or len(result.finished) < 2
    advice = ADVICE[verdict.kind] if believed else WRONG_STRUCTURE
    advice = advice.format(best=f"“{best.branch.title}”")
    told = [advice, _equal(result)]
    steps = [Step(" ".join(text for text in told if text)), *_against(result)]
    steps += _refine_steps(output, set(written))
    if best.data is not None:
        files = " ".join(os.path.relpath(name) for name in best.data.files)
        steps += [
            Step(
                "Its observations, scaled and unmerged, for SHELXL or Olex2 (merging is "
                "then done there):",
                f"dials.export {files} format=shelx",
            ),
            Step("Merged, as .mtz:", f"dials.merge {files}"),
        ]
    if verdict.kind != "not known":
        steps.append(
            Step(
                "Other data of the same kind are treated alike by:",
                " && ".join(OTHER_DATA[verdict.best]),
            )
        )
    return steps


def _equal(result: PlacementComparison) -> str:
    """Say that another branch would do as well."""
    if result.verdict.kind == "no difference" or not result.verdict.equal:
        return ""
    titles = " and ".join(
        f"“{result.branches[name].branch.title}”" for name in result.verdict.equal
    )
    return f"As far as can be told {titles} would do as well; take what is less work."


def _against(result: PlacementComparison) -> list[Step]:
    """Say so where refined figures speak against the verdict."""
    pair = compared(result)
    own = bool(result.known.solved_from)
    if result.verdict.kind != "correct" or pair is None or own:
        return []
    worse = [
        told
        for figure, told in WORSE.items()
        if outcome(result, figure, *pair) == "higher"
    ]
    other = result.branches[pair[1]]
    if not worse or other.data is None:
        return []
    files = " ".join(os.path.relpath(name) for name in other.data.files)
    text = (
        f"But {' and '.join(worse)} than with “{other.branch.title}”: refine against both "
        "and look at the geometry of the molecule before you choose. That branch for "
        "SHELXL or Olex2:"
    )
    names = "shelx.hklout=other.hkl shelx.ins=other.ins"
    return [Step(text, f"dials.export {files} format=shelx {names}")]


def _refine_steps(output, written: set[str]) -> list[Step]:
    """Say how the files for SHELXL are used."""
    ins = output.ins if output.ins in written else None
    hkl = output.hkl if output.hkl in written else None
    if ins is None and hkl is None:
        return []
    if ins is None:
        text = (
            f"{hkl} (HKLF 4) holds its merged intensities, for your own .ins. Use "
            "electron form factors."
        )
        return [Step(text)]
    if hkl is None:
        return [
            Step(f"{ins} holds the structure with electron form factors, for SHELXL.")
        ]
    text = (
        f"{ins} (structure, electron form factors in its SFAC lines) and {hkl} (HKLF 4, "
        "its merged intensities) are ready for SHELXL, and are opened by Olex2:"
    )
    stem, other = (Path(name).with_suffix("") for name in (ins, hkl))
    if stem != other:
        text = f"{text[:-1]}; SHELXL wants them under one name."
        return [Step(text)]
    folder = "" if stem.parent == Path() else f"cd {stem.parent} && "
    return [Step(text, f"{folder}shelxl {stem.name}")]
