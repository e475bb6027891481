"""
Which hand of a structure the data agree with, in words.

Functions:
    hand_sentence: for the log and the page
    turned_warnings: that the mirror image of a given structure was taken
"""

from __future__ import annotations

from cctbx import xray

from dials_spread.with_structure import SURE, Hands


def hand_sentence(hands: Hands | None, here: str, structure: xray.structure) -> str:
    """
    Say which hand agrees better, and how sure that is.

    Args:
        hands: The comparison; None of a centrosymmetric structure.
        here: What the hand of the structure is called, "as given" or "as taken".
        structure: That was compared with its mirror image.
    """
    if hands is None:
        return "Absolute structure: not applicable, the structure is centrosymmetric."
    better = here if hands.z > 0 else "its mirror image"
    z = f"{hands.z:.2f}".replace("-", "−")
    told = f"{better} agrees better"
    if not abs(hands.z) > SURE:
        told = f"cannot be told; {told}, but not significantly (it takes {SURE:g} σ)"
    return (
        f"Absolute structure: {told}, z = {z}, probability of the hand {here} "
        f"{hands.probability:.3g} (R1 of {hands.n:,} observations "
        f"{hands.r1[0]:.4f} {here}, {hands.r1[1]:.4f} inverted; amplitudes know "
        f"nothing of the hand).{_groups(structure, here)}"
    )


def _groups(structure: xray.structure, here: str) -> str:
    """Name the space groups of both hands, which the data's may be either of."""
    own = structure.space_group_info()
    other = own.change_hand()
    if str(own) == str(other):
        return ""
    return (
        f" The space group {here} is {own}, of its mirror image {other}; in the files "
        "of the data it stays what it was."
    )


def turned_warnings(
    turned: Hands | None, source: str, taken: xray.structure
) -> list[str]:
    """
    Say that the mirror image of a given structure was taken.

    Args:
        turned: The comparison because of which; None where it was kept.
        source: Name of its file.
        taken: The mirror image.
    """
    if turned is None:
        return []
    own = taken.space_group_info()
    given = own.change_hand()
    which = "" if str(own) == str(given) else f" (space group {own}, given was {given})"
    return [
        f"{source} has the wrong hand: the data agree with its mirror image better, by "
        f"{-turned.z:.1f} standard deviations. The mirror image{which} was taken for the "
        "correction, and the refined structure is of that hand."
    ]
