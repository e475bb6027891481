"""
The parameters of beam, special orientations and noisy spots, for commands to include.

Functions:
    choices_of: what the extracted scopes say
    filtered_table: what output.filtered holds
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from dials.array_family import flex

from dials_spread.beam import BeamRegion
from dials_spread.input_files import Input
from dials_spread.spread.noisy_spots.filtered import set_aside
from dials_spread.spread.origins import OriginChoices, noisy_of

logger = logging.getLogger("dials.spread.origins")

PHIL = """
beam {
  analyse = True
    .type = bool
    .help = "Say how much of the differences between images, before scaling, the beam"
            "explains."
  raw_images = True
    .type = bool
    .help = "Measure the beam on the raw images, where they can be read; each is read"
            "once. Without them the background under the spots stands in."
  annulus = 0.1 0.5
    .type = floats(size=2, value_min=0)
    .help = "Inner and outer radius, about the beam, of the annulus whose background"
            "is measured."
  disc = 0.03
    .type = float(value_min=0)
    .help = "Radius of the disc that holds the direct beam, used on images where no"
            "pixel of it saturates."
  unit = *reciprocal_angstrom pixels
    .type = choice
    .help = "Unit of these radii."
  reject = 6.0
    .type = float(value_min=0)
    .help = "Leave out pixels of the annulus that are so many standard deviations"
            "above the others at their radius: spots that nobody predicted. 0 keeps"
            "them."
  margin = 1
    .type = int(value_min=0)
    .help = "Pixels left out around the box of each predicted or observed spot."
}
orientations {
  analyse = True
    .type = bool
    .help = "Relate the size of residuals to zone axes and crystal axes."
  highest_index = 5
    .type = int(value_min=1, value_max=20)
    .help = "Highest u, v or w of the zone axes [uvw] that are considered."
  n_extremes = 50
    .type = int(value_min=0)
    .help = "How many of the most extreme observations are listed."
}
noisy_spots {
  analyse = True
    .type = bool
    .help = "Look for reflections that spread more than others and for observations"
            "far from the rest, and see whether leaving them out helps more than"
            "leaving out as many at random."
  cut = 6.0
    .type = float(value_min=1)
    .help = "Standard deviations, the usual spread included, from the median of its"
            "reflection beyond which an observation is noisy."
  filter = cluster cut *both
    .type = choice
    .help = "What output.filtered sets aside: the noisiest cluster of reflections,"
            "observations beyond the cut, or both."
  leave_out = False
    .type = bool
    .help = "Leave these rows out of output.filtered, so that dials.scale runs without"
            "them. By default they stay and carry the flag excluded_for_scaling, which"
            "dials.merge and dials.export obey; dials.scale takes it off."
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
            "output.filtered is what noisy_spots finds, and noisy_spots.analyse=False"
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
