"""
The parameters of the size of the spread and its sources, for commands to include.

Functions:
    spread_choices: what the extracted scopes say
"""

from __future__ import annotations

from collections.abc import Sequence

from dials_spread.spread.analysis import SpreadChoices
from dials_spread.spread.origins_phil import choices_of

PHIL = """
spread {
  analyse = True
    .type = bool
    .help = "Say how large the spread is beyond the known errors: over all, by"
            "intensity, resolution, crystal and image."
  error_model = True
    .type = bool
    .help = "Take the relative term that dials.scale added to the variances of scaled"
            "data off again, so that the whole spread is measured. False measures"
            "what is left beyond that term."
}
variogram {
  analyse = True
    .type = bool
    .help = "Say how the disagreement of two observations of one reflection grows"
            "with the angle between their beam directions in the crystal."
  max_pairs = 20000000
    .type = int(value_min=1)
    .help = "Most pairs of observations that are looked at; of more, as many at"
            "random."
}
components {
  analyse = True
    .type = bool
    .help = "Say what share of the spread is due to image, crystal, orientation,"
            "counting noise, and the rest."
}
normality {
  analyse = True
    .type = bool
    .help = "Compare the residuals with a normal distribution."
}
likelihood {
  analyse = True
    .type = bool
    .help = "Test for each matched pair of images whether it agrees better than"
            "chance."
  max_matches = 50000
    .type = int(value_min=1)
    .help = "Most pairs that are tested, the best first."
  permutations = 9999
    .type = int(value_min=99)
    .help = "Most images redrawn from other observations, for each pair. With very"
            "many pairs there are fewer."
}
"""


def spread_choices(params, files: Sequence[str] = ()) -> SpreadChoices:
    """
    Give what a user chose.

    Args:
        params: Extracted from a scope with PHIL, and that of origins_phil, in it.
        files: Names of the input files; raw images may lie beside them.

    Returns:
        The choices.
    """
    return SpreadChoices(
        size=params.spread.analyse,
        variogram=params.variogram.analyse,
        components=params.components.analyse,
        normality=params.normality.analyse,
        likelihood=params.likelihood.analyse,
        max_pairs=params.variogram.max_pairs,
        max_tested=params.likelihood.max_matches,
        permutations=params.likelihood.permutations,
        error_model=params.spread.error_model,
        origins=choices_of(params, files),
    )
