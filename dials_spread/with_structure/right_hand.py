"""
A structure of the hand that the data agree with.

Functions:
    in_right_hand: a first correction, with the structure or with its mirror image
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dials_spread.with_structure.hands import Hands
from dials_spread.with_structure.inversion import INTRACLASS
from dials_spread.with_structure.problem import StructureInput
from dials_spread.with_structure.second_correction import (
    SecondCorrection,
    correct_with_structure,
)

SURE = 3.0
"""Standard deviations from which a hand is told, and the other one taken than was given."""


@dataclass(frozen=True)
class RightHand:
    """
    A structure of the hand that was taken.

    Attributes:
        given: Data, first estimate and that structure.
        correction: With it.
        turned: The comparison of hands because of which its mirror image was taken; None
            where it was kept.
    """

    given: StructureInput
    correction: SecondCorrection
    turned: Hands | None


def in_right_hand(
    given: StructureInput, bound: float = SURE, intraclass: float = INTRACLASS
) -> RightHand:
    """
    Correct with a structure, or with its mirror image where the data agree better with that.

    Args:
        given: Data, first estimate and structure.
        bound: Standard deviations by which the mirror image must agree better to be taken.
        intraclass: Correlation of the errors of observations of a reflection.

    Raises:
        ValueError: A still, or no crystal has enough observations for a thickness.
    """
    correction = correct_with_structure(given, intraclass)
    hands = correction.hands
    if hands is None or hands.z > -bound:
        return RightHand(given, correction, None)
    # Of an enantiomorphic pair of space groups it has the other one, as data may.
    given = replace(given, structure=given.structure.change_hand())
    return RightHand(given, correct_with_structure(given, intraclass), hands)
