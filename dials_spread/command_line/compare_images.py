# LIBTBX_SET_DISPATCHER_NAME dials.compare_images
"""
Find images of the same orientation across crystals and compare their spots.

Two images that were taken along the same direction in the crystal excite the same
reflections, whichever crystals they come from. This program pairs images by the Miller
indices that they have in common (under one operator of the Laue group for the whole
image), compares the intensities of each pair with each other and with those of all
other images, and says how large the spread beyond the known errors is: when the
orientation is the same, and when it is not. With electrons, multiple scattering makes
the difference.

Give integrated or scaled files of any number of crystals, in any order. The results are
a log, a JSON file, and a page to be opened in a browser.

Examples::

  dials.compare_images scaled.expt scaled.refl

  dials.compare_images integrated.expt integrated.refl image_width=0 friedel=False

  dials.compare_images a/integrated.{expt,refl} b/integrated.{expt,refl} nproc=4

  dials.compare_images scaled.expt scaled.refl compare_with=xray/dials.compare_images.json

  dials.compare_images scaled.expt scaled.refl output.figures=figures pair=0,12,3,45
"""

from __future__ import annotations

from dataclasses import fields

import iotbx.phil
from dials.util import Sorry, show_mail_handle_errors
from libtbx import Auto

from dials_spread import session
from dials_spread.comparison import Matching, compare_images
from dials_spread.input_files import read_files
from dials_spread.observations import Choices
from dials_spread.observations.crystals import check_crystals
from dials_spread.output_files import check_outputs
from dials_spread.report.compare_images.document import read_earlier
from dials_spread.report.compare_images.outputs import write_results
from dials_spread.report.page.document import Provenance
from dials_spread.spread import analysis_phil, origins_phil

COMMAND = "dials.compare_images"

phil_scope = iotbx.phil.parse(
    analysis_phil.PHIL
    + origins_phil.PHIL
    + """
    intensity = *auto scale profile sum
      .type = choice
      .help = "Which intensities are compared. auto takes scaled ones where every"
              "table is scaled, else profile-fitted ones, else summed ones."
    image_width = 1.0
      .type = float(value_min=0)
      .help = "Width in degrees to which consecutive frames of a scan are joined"
              "to one image. 0 keeps frames as they are."
    assign = *centroid extent
      .type = choice
      .help = "Count an observation for the image of its calculated centroid, or"
              "for every image that its bounding box touches."
    friedel = True
      .type = bool
      .help = "Take Friedel mates as equivalent."
    keep_outliers = False
      .type = bool
      .help = "Keep observations that dials.scale rejected as outliers."
    min_zeta = 0.05
      .type = float(value_min=0, value_max=1)
      .help = "Observations nearer to the rotation axis are left out, as"
              "filter.min_zeta of dials.integrate does."
    partiality_cutoff = 0.4
      .type = float(value_min=0, value_max=1)
      .help = "Lowest partiality of an observation that is used, as"
              "cut_data.partiality_cutoff of dials.scale."
    matching {
      top = 10
        .type = int(value_min=1)
        .help = "How many partners are looked for, of each image."
      min_common = 5
        .type = int(value_min=1)
        .help = "Fewest indices that two matched images have in common."
      exclude_same_crystal = True
        .type = bool
        .help = "Match images of different crystals only. A single crystal is"
                "matched with itself."
      same_orientation = 2.0
        .type = float(value_min=0, value_max=180)
        .help = "Angle in degrees between two beam directions up to which the"
                "orientations count as the same in the summary."
    }
    pair = None
      .type = ints(size=4, value_min=0)
      .multiple = True
      .help = "A pair of images to be shown in full: crystal and frame of the one,"
              "crystal and frame of the other. May be given more than once."
    n_pairs_shown = 6
      .type = int(value_min=0)
      .help = "How many of the best pairs are shown in full."
    raw_images = True
      .type = bool
      .help = "Draw pairs from the raw images where they can be read."
    compare_with = None
      .type = path
      .help = "JSON file of an earlier run, of X-ray data for instance, to be shown"
              "beside this one."
    seed = 0
      .type = int(value_min=0)
      .help = "For the draws behind the intervals."
    nproc = Auto
      .type = int(value_min=1)
      .help = "Number of threads; all cores by default."
    output {
      log = dials.compare_images.log
        .type = path
      json = dials.compare_images.json
        .type = path
        .help = "All results, for other programs. None writes none."
      html = dials.compare_images.html
        .type = path
        .help = "The report; it needs no network. None writes none."
      filtered = None
        .type = path
        .help = "All reflections, with noisy spots flagged as excluded_for_scaling"
                "(see noisy_spots.filter). None writes none."
      max_matches = 100000
        .type = int(value_min=1)
        .help = "Most pairs written to the JSON file, the best first."
      figures = None
        .type = path
        .help = "Folder for the figures as files. None writes none."
      figure_format = *png svg
        .type = choice
        .help = "Format of these files."
    }
    """
)


@show_mail_handle_errors()
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.compare_images from the command line."""
    usage = "dials.compare_images [options] integrated.expt integrated.refl [...]"
    params, files, log = session.start(usage, __doc__, phil, args)
    earlier = [params.compare_with] if params.compare_with else []
    try:
        _, reference, data = session.gather(
            lambda: check_outputs(params.output, [*files, earlier]),
            lambda: read_earlier(params.compare_with, COMMAND),
            lambda: read_files(*files),
        )
        check_crystals(data.experiments, data.names)
        comparison = compare_images(
            data.experiments,
            data.tables,
            data.dataset,
            Matching(**session.leaves(params.matching)),
            without_experiment=sum(data.unmatched.values()),
            **{field.name: getattr(params, field.name) for field in fields(Choices)},
            n_pairs_shown=params.n_pairs_shown,
            pairs_shown=params.pair,
            seed=params.seed,
            nproc=None if params.nproc is Auto else params.nproc,
            progress=True,
            spread=analysis_phil.spread_choices(params, data.files),
        )
        provenance = Provenance(COMMAND, data.files, session.parameters(phil, params))
        filtered = origins_phil.filtered_table(params, data, comparison)
        write_results(
            comparison, provenance, params.output, log, reference, params.raw_images,
            filtered,
        )  # fmt: skip
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
