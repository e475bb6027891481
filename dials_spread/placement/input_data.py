"""
Data whose branches can be compared.

Functions:
    check_comparable: before anything is run
"""

from __future__ import annotations

from collections.abc import Sequence

from dials.array_family import flex
from dxtbx.model import Experiment

from dials_spread.correction.apply.tables import correction_state
from dials_spread.versions import probe


def check_comparable(
    experiments: Sequence[Experiment], tables: Sequence[flex.reflection_table]
) -> None:
    """
    Refuse what the branches could not take, before minutes are spent on some of them.

    Args:
        experiments: One a crystal, of one radiation.
        tables: Their reflections.

    Raises:
        ValueError: Other radiation than electrons, for which the correction and the form
            factors are; or reflections that are corrected already.
    """
    radiation = probe(experiments[0].beam)
    if radiation != "electrons":
        wavelength = experiments[0].beam.get_wavelength()
        raise ValueError(
            f"The data are of {radiation} (wavelength {wavelength:.4f} Å); the correction "
            "and the form factors of this comparison are for electrons"
        )
    if any(correction_state(table) != "none" for table in tables):
        raise ValueError(
            "These reflections are corrected already, so there would be no branch without "
            "correction: give the uncorrected ones (dials.ml_correct undo=True gives them "
            "back)"
        )
