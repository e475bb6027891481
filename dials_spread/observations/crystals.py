"""
Whether crystals can be compared at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cctbx import crystal, sgtbx
from dxtbx.model import Experiment

from dials_spread.reindexing import reindexing_choices
from dials_spread.symmetry import same_group
from dials_spread.versions import probe

LENGTH_TOLERANCE = 0.1
"""A cell edge may differ from the median by this part of it."""

ANGLE_TOLERANCE = 5.0
"""A cell angle may differ from the median by so many degrees."""


def check_crystals(
    experiments: Sequence[Experiment], files: Sequence[str] | None = None
) -> None:
    """
    Check that all crystals can be compared.

    Args:
        experiments: One a crystal.
        files: Name of the file of each, for messages; none by default.

    Raises:
        ValueError: More than one radiation or space group, or cells that differ wildly;
            one line for each.
    """
    files = list(files or [""] * len(experiments))
    problems = _about_radiation(experiments, files) + _about_groups(experiments, files)
    problems += _about_cells(experiments, files)
    if problems:
        raise ValueError("\n".join(problems))


def _where(values: Sequence[str], files: Sequence[str]) -> str:
    """List values, each with the first file that has it and how many more do."""
    told = []
    for value in sorted(set(values)):
        own = list(dict.fromkeys(f for v, f in zip(values, files) if v == value and f))
        more = f" and {len(own) - 1} more" if len(own) > 1 else ""
        told.append(f"{value} ({own[0]}{more})" if own else value)
    return ", ".join(told)


def _about_radiation(experiments, files) -> list[str]:
    probes = [probe(e.beam) for e in experiments]
    if len(set(probes)) == 1:
        return []
    return [
        f"Data of different radiation are given together: {_where(probes, files)}. Run "
        "each on its own; dials.compare_images shows two results beside each other with "
        "compare_with="
    ]


def _about_groups(experiments, files) -> list[str]:
    groups = [e.crystal.get_space_group() for e in experiments]
    # Names take milliseconds each; of thousands of crystals nearly all are alike.
    names = [str(groups[0].info())]
    for before, group in zip(groups, groups[1:]):
        names.append(names[-1] if group == before else str(group.info()))
    symmetries = [*zip(names, groups, experiments)]
    # One of each kind, in the order of appearance: origins do not count.
    kinds: list[int] = []
    kind = []
    for n, (_, group, _) in enumerate(symmetries):
        same = [k for k in kinds if same_group(symmetries[k][1], group)]
        kinds += [] if same else [n]
        kind.append(same[0] if same else n)
    if len(kinds) == 1:
        return []
    names = [symmetries[k][0] for k in kind]
    return [
        f"The crystals have {len(kinds)} different space groups: "
        f"{_where(names, files)}. {_mend(kind, symmetries)}"
    ]


def _mend(kind: Sequence[int], symmetries: Sequence[tuple]) -> str:
    """Say how crystals of another space group come to that of most."""
    most = max(dict.fromkeys(kind), key=kind.count)
    name, group, first = symmetries[most]
    told = []
    for other in dict.fromkeys(kind):
        its_name, its_group, own = symmetries[other]
        if its_group.type().number() == group.type().number():
            operator = "" if other == most else _operator(own, first)
            if operator:
                told.append(
                    f"{its_name} is another setting of {name}: dials.reindex with "
                    f"change_of_basis_op={operator} brings it there."
                )
        elif same_group(
            its_group.change_basis(its_group.type().change_of_hand_op()), group
        ):
            told.append(f"{its_name} is the other enantiomorph of {name}.")
    return " ".join(
        [
            *told,
            "If they are of one compound, bring them to one space group with "
            "dials.cosym or dials.reindex; if not, run each compound on its own",
        ]
    )


def _operator(here: Experiment, there: Experiment) -> str:
    """Find what brings the indices of one crystal to the setting of another; or nothing."""
    try:
        pair = [
            crystal.symmetry(
                e.crystal.get_unit_cell(), space_group=e.crystal.get_space_group()
            )
            for e in (here, there)
        ]
        choices = reindexing_choices(
            pair[0], pair[1], LENGTH_TOLERANCE, ANGLE_TOLERANCE
        )
    except (ValueError, AssertionError):
        # A cell that its own space group does not allow has no such operator.
        return ""
    fits = {}
    for choice in choices:
        change = sgtbx.change_of_basis_op(choice.symbol)
        if same_group(
            pair[0].space_group().change_basis(change), pair[1].space_group()
        ):
            cell = pair[0].unit_cell().change_basis(change)
            fits[choice.symbol] = cell.bases_mean_square_difference(pair[1].unit_cell())
    return min(fits, key=lambda symbol: fits[symbol], default="")


def _about_cells(experiments, files) -> list[str]:
    cells = np.array([e.crystal.get_unit_cell().parameters() for e in experiments])
    median = np.median(cells, axis=0)
    edges = np.abs(cells[:, :3] / median[:3] - 1) > LENGTH_TOLERANCE
    angles = np.abs(cells[:, 3:] - median[3:]) > ANGLE_TOLERANCE
    odd = np.flatnonzero(edges.any(axis=1) | angles.any(axis=1))
    if not len(odd):
        return []
    told = ", ".join(f"{p:.2f}" for p in cells[odd[0]])
    like_most = int(np.argmin(np.abs(cells / median - 1).max(axis=1)))
    pair = [experiments[k] for k in (odd[0], like_most)]
    mend = ""
    # Of another setting the message about space groups has the operator.
    if same_group(*(e.crystal.get_space_group() for e in pair)):
        operator = _operator(*pair)
        if operator not in ("", "h,k,l"):
            mend = f" dials.reindex with change_of_basis_op={operator} brings it there."
    where = f" in {files[odd[0]]}" if files[odd[0]] else ""
    rest = f" and of {len(odd) - 1} more" if len(odd) > 1 else ""
    return [
        f"The cell of crystal {odd[0]}{where} ({told}){rest} differs from the median of "
        f"all crystals ({', '.join(f'{p:.2f}' for p in median)}) by more than "
        f"{100 * LENGTH_TOLERANCE:.0f} % or {ANGLE_TOLERANCE:.0f}°.{mend} Run compounds, and "
        "settings of one compound, on their own, or leave that crystal out"
    ]
