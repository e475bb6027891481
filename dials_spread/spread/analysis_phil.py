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
    .help = "Measure the relative error s that the standard deviations do not cover: over"
            "all data, by intensity, resolution, crystal and image."
  error_model = True
    .type = bool
    .help = "Take the error model of dials.scale off the variances of scaled data again, so"
            "that s is the whole relative error beyond the standard deviations of"
            "integration. With False, s is what is left beyond those of dials.scale."
}
variogram {
  analyse = True
    .type = bool
    .help = "Measure how the disagreement of two observations of one reflection grows with"
            "the angle between their beam directions in the crystal."
  max_pairs = 20000000
    .type = int(value_min=1, value_max=1000000000)
    .help = "Largest number of pairs of observations that are used. If there are more, so"
            "many (5 million at most) are chosen at random, and besides all whose beam"
            "directions are within 2° of each other."
}
components {
  analyse = True
    .type = bool
    .help = "Divide the variance of single observations into shares: common to an image,"
            "common to a crystal, dependent on the orientation, counting noise, and what"
            "differs at the same orientation all the same."
}
normality {
  analyse = True
    .type = bool
    .help = "Compare the distribution of the residuals with a normal distribution."
}
likelihood {
  analyse = True
    .type = bool
    .help = "Test for each matched pair of images, by permutations, whether it agrees"
            "better than expected by chance."
  max_matches = 50000
    .type = int(value_min=1, value_max=10000000)
    .help = "Largest number of pairs of images that are tested, those with the most"
            "indices in common first."
  permutations = 9999
    .type = int(value_min=99, value_max=10000000)
    .help = "Largest number of permutations for each pair of images. If there are very"
            "many pairs, fewer are made."
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
