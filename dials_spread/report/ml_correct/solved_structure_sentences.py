"""
How a structure was solved for the second correction, in words.

Functions:
    solved_sentences: of the log and the page
"""

from __future__ import annotations

import numpy as np

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
    told = (
        "Structure: solved from the amplitudes of the first correction to "
        f"{solved.d_min:.2f} Å by charge flipping ({one.n_agree} of {one.n_starts:,} random "
        f"starts end in the same map{witness}). Its peaks and "
        f"{n} {'refinement' if n == 1 else 'refinements'} gave {int((~hydrogen).sum())} "
        f"atoms and {int(hydrogen.sum())} of hydrogen in the asymmetric unit, R1 "
        f"{made.refinement.r1_all:.3f} of {made.refinement.n_observations:,} reflections "
        f"before the second correction. {NAMED if one.by_composition else NOT_NAMED}"
    )
    return [f"{told} {TURNED}" if solved.turned else told]
