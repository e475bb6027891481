"""
The parameters of beam, special orientations and noisy spots, for commands to include.

Functions:
    choices_of: what the extracted scopes say
    columns: which columns of the tables are read
    filtered_table: what output.filtered holds
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence

from dials.array_family import flex

from dials_spread.beam import BeamRegion
from dials_spread.input_files import Input
from dials_spread.spread.noisy_spots.filtered import set_aside
from dials_spread.spread.origins import OriginChoices, noisy_of
from dials_spread.valid_input.columns import READ

logger = logging.getLogger("dials.spread.origins")

PHIL = """
beam {
  analyse = True
    .type = bool
    .help = "Measure how much of the differences between images, before scaling, the"
            "intensity of the beam explains."
  raw_images = True
    .type = bool
    .help = "Measure the beam on the raw images where they can be read. Without them, the"
            "background under the spots is used instead."
  annulus = 0.1 0.5
    .type = floats(size=2, value_min=0, value_max=100000)
    .help = "Inner and outer radius of the annulus about the beam whose background is"
            "measured, in reciprocal angstrom or pixels (see beam.unit)."
  disc = 0.03
    .type = float(value_min=0, value_max=100000)
    .help = "Radius of the disc that contains the direct beam, in reciprocal angstrom or"
            "pixels (see beam.unit). It is measured on images where no pixel of it is"
            "saturated."
  unit = *reciprocal_angstrom pixels
    .type = choice
    .help = "Unit of beam.annulus and beam.disc."
  reject = 6.0
    .type = float(value_min=0, value_max=1e9)
    .help = "Pixels of the annulus are left out if they are more than so many standard"
            "deviations above the other pixels at their radius, as unpredicted spots are."
            "0 leaves none out."
  margin = 1
    .type = int(value_min=0, value_max=10000)
    .help = "Width in pixels of the frame around the box of each predicted or observed"
            "spot that is left out of the background."
}
orientations {
  analyse = True
    .type = bool
    .help = "Relate the size of the residuals on an image to the angles between its beam"
            "and zone axes and crystal axes."
  highest_index = 5
    .type = int(value_min=1, value_max=20)
    .help = "Highest u, v or w of the zone axes [uvw] that are considered."
  n_extremes = 50
    .type = int(value_min=0, value_max=100000)
    .help = "How many of the observations farthest from their symmetry equivalents are"
            "listed."
}
noisy_spots {
  analyse = True
    .type = bool
    .help = "Look for a class of noisy reflections and for outliers among the observations,"
            "and see whether leaving them out improves the data more than leaving out as"
            "many at random."
  cut = 6.0
    .type = float(value_min=1, value_max=1e9)
    .help = "An observation is an outlier if it is more than so many standard deviations"
            "from the median of its reflection. The standard deviation includes the"
            "relative error that all data have."
  filter = cluster cut *both
    .type = choice
    .help = "What is left out of output.filtered, or flagged there: the class of noisy"
            "reflections (cluster), outliers (cut), or both."
  leave_out = False
    .type = bool
    .help = "Leave noisy spots out of output.filtered, so that dials.scale does not use"
            "them. With False they stay with the flag excluded_for_scaling, which"
            "dials.merge and dials.export obey, but which dials.scale resets."
}
"""


def choices_of(params, files: Sequence[str] = ()) -> OriginChoices:
    """
    Give what a user chose.

    Args:
        params: Extracted from a scope with PHIL, raw_images and output in it.
        files: Names of the input files; raw images may lie beside them.

    Returns:
        The choices.

    Raises:
        ValueError: The radii are not in order, or output.filtered is wanted without
            noisy spots.
    """
    beam, noisy, special = params.beam, params.noisy_spots, params.orientations
    if params.output.filtered and not noisy.analyse:
        raise ValueError(
            "output.filtered is written from what noisy_spots.analyse finds; give "
            "noisy_spots.analyse=True, or leave output.filtered out"
        )
    return OriginChoices(
        beam=beam.analyse,
        raw_images=beam.raw_images and params.raw_images,
        region=BeamRegion(
            tuple(beam.annulus), beam.disc, beam.unit, beam.reject, beam.margin
        ),
        orientations=special.analyse,
        highest_index=special.highest_index,
        n_extremes=special.n_extremes,
        noisy_spots=noisy.analyse,
        cut=noisy.cut,
        error_model=params.spread.error_model,
        folders=tuple(sorted({os.path.dirname(f) or "." for f in files})),
    )


def columns(params) -> Collection[str] | None:
    """Name the columns that are read: all of them, None, where all are written again."""
    return None if params.output.filtered else READ


def filtered_table(params, data: Input, comparison) -> flex.reflection_table | None:
    """
    Give all reflections with noisy spots set aside, where that is wanted.

    Args:
        params: Extracted from a scope with PHIL and output.filtered in it.
        data: The input; its tables are not changed.
        comparison: With the observations and the origins found in them.

    Returns:
        The table; None where none is wanted.

    Raises:
        ValueError: Noisy spots were not looked for, or could not be.
    """
    if not params.output.filtered:
        return None
    noisy, which = params.noisy_spots, comparison.origins
    chosen = noisy_of(which, noisy.filter)
    logger.info(
        "%d of %d observations are noisy and %s output.filtered.",
        chosen.sum(),
        len(chosen),
        "left out of" if noisy.leave_out else "flagged as excluded_for_scaling in",
    )
    return set_aside(
        data.experiments, data.tables, comparison.observations, chosen, noisy.leave_out
    )
