"""
How a structure was solved for the second correction, in words.

Functions:
    solved_sentences: of the log and the page
    solved_in_short: on the first screen of the page
"""

from __future__ import annotations

import numpy as np

from dials_spread.refinement import Refinement
from dials_spread.refinement.model import hydrogen_atoms
from dials_spread.with_structure import SolvedStructure

NAMED = (
    "Elements are from peak heights and the composition: neighbours in the periodic table "
    "may be exchanged."
)

NOT_NAMED = (
    "Without a composition all atoms are called carbon, hydrogen, or by an element that "
    "scatters about as much as they do beside the others; output.composition='C 8 H 9 N O 2', "
    "say, names them."
)

TURNED = (
    "The data agree with the mirror image of what was solved better, and that was taken (how sure "
    "its hand is: below)."
)


def solved_sentences(solved: SolvedStructure | None) -> list[str]:
    """
    Say how the structure was found, and how sure it is.

    Args:
        solved: None where it was given.
    """
    if solved is None:
        return []
    one, made = solved.assigned, solved.completed
    hydrogen = hydrogen_atoms(made.structure)
    n = made.n_rounds + 1
    # Of P 1, where there is no symmetry to obey, several starts in one map are the witness.
    witness = (
        ", whose phases obey the space group" if np.isfinite(one.agreement) else ""
    )
    starts = (
        f"{one.n_agree} of {one.n_starts:,} random starts end in the same map"
        if one.n_starts > 1
        else "one random start"
    )
    told = (
        "Structure: solved from the amplitudes of the first correction to "
        f"{solved.d_min:.2f} Å by charge flipping ({starts}{witness}). Its peaks and "
        f"{n} {'refinement' if n == 1 else 'refinements'} gave {int((~hydrogen).sum())} "
        f"atoms and {int(hydrogen.sum())} of hydrogen in the asymmetric unit, R1 "
        f"{made.refinement.r1_all:.3f} of {made.refinement.n_observations:,} reflections, "
        f"{solved.r1_left_out:.3f} where a fifth is left out in turn, "
        f"before the second correction. {NAMED if one.by_composition else NOT_NAMED}"
    )
    return [f"{told} {TURNED}" if solved.turned else told]


def solved_in_short(solved: SolvedStructure | None, refined: Refinement | None) -> str:
    """
    Say in one sentence what was solved; nothing where a structure was given.

    Args:
        solved: None where it was given.
        refined: Against what is written; None where it could not be.
    """
    if solved is None:
        return ""
    structure = solved.structure if refined is None else refined.structure
    hydrogen = hydrogen_atoms(structure)
    told = (
        f"The structure was solved: {int((~hydrogen).sum())} atoms and {int(hydrogen.sum())} of "
        "hydrogen in the asymmetric unit"
    )
    if refined is None:
        return f"{told}."
    return f"{told}, refined against the corrected intensities to R1 {refined.r1_strong:.3f} (I > 2σ)."
