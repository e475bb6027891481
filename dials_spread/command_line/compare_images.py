# LIBTBX_SET_DISPATCHER_NAME dials.compare_images
"""
Find images of the same orientation across crystals and compare their spots.

Two images that were taken along the same direction in the crystal contain the same
reflections, whichever crystals they come from. This program matches images by the Miller
indices that they have in common (under one reindexing operator for the whole image) and
compares the intensities of each pair with each other and with those of all other images.
It says how large the relative error of the intensities is that their standard deviations
do not cover, and how much of it is common to an image or depends on the orientation, as
multiple scattering makes it with electrons.

Give integrated or scaled files of any number of crystals, in any order. The results are
a log, a JSON file, and a page for a browser. -c lists all parameters with what they mean.

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
from dials.util import Sorry
from libtbx import Auto

from dials_spread import cluster, session
from dials_spread.command_line._kept_on_workers import compare_kept
from dials_spread.comparison import Matching, compare_images
from dials_spread.freed_memory import give_back
from dials_spread.observations import Choices, right_factors
from dials_spread.observations.crystals import check_crystals
from dials_spread.output_files import check_outputs
from dials_spread.report.compare_images.document import read_earlier
from dials_spread.report.compare_images.outputs import PHIL as OUTPUT
from dials_spread.report.compare_images.outputs import write_results
from dials_spread.report.page.document import Provenance
from dials_spread.spread import analysis_phil, origins_phil
from dials_spread.valid_input.reading import PHIL as READING

COMMAND = "dials.compare_images"

phil_scope = iotbx.phil.parse(
    analysis_phil.PHIL
    + origins_phil.PHIL
    + right_factors.PHIL
    + READING
    + cluster.PHIL_OF_BLOCKS
    + """
    intensity = *auto scale profile sum
      .type = choice
      .help = "Which intensities are compared. auto takes scaled intensities where every"
              "table is scaled, otherwise profile-fitted ones where every table has them,"
              "otherwise summed ones."
    image_width = 1.0
      .type = float(value_min=0, value_max=360)
      .help = "Width in degrees to which consecutive frames of a scan are joined to one"
              "image. 0 keeps each frame as an image."
    assign = *centroid extent
      .type = choice
      .help = "Which image an observation belongs to: that of its calculated centroid, or"
              "(extent) every image that its bounding box touches."
    friedel = True
      .type = bool
      .help = "Take Friedel mates as symmetry equivalents."
    keep_outliers = False
      .type = bool
      .help = "Keep observations that dials.scale rejected as outliers."
    min_zeta = 0.05
      .type = float(value_min=0, value_max=1)
      .help = "Observations with |zeta| below this value, which lie next to the rotation"
              "axis, are left out, as by filter.min_zeta of dials.integrate. No unit."
    partiality_cutoff = 0.4
      .type = float(value_min=0, value_max=1)
      .help = "Lowest partiality, from 0 to 1, of an observation that is used, as"
              "cut_data.partiality_cutoff of dials.scale."
    matching {
      top = 10
        .type = int(value_min=1, value_max=10000)
        .help = "How many matching images are looked for, for each image."
      min_common = 5
        .type = int(value_min=1, value_max=1000000)
        .help = "Smallest number of indices that two matched images have in common."
      exclude_same_crystal = True
        .type = bool
        .help = "Match images of different crystals only. If there is one crystal, its own"
                "images are matched with each other all the same."
      same_orientation = Auto
        .type = float(value_min=0, value_max=180)
        .help = "Largest angle in degrees between the beams in the crystal of two images"
                "of the same orientation. Auto: the correlation angle of the data, or 2."
    }
    pair = None
      .type = ints(size=4, value_min=0, value_max=10000000)
      .multiple = True
      .help = "A pair of images that is shown in full in the report, as four numbers:"
              "crystal and frame of the first image, crystal and frame of the second, such"
              "as pair=0,12,3,45. It can be given more than once."
    n_pairs_shown = 6
      .type = int(value_min=0, value_max=1000)
      .help = "How many of the best pairs are shown in full in the report."
    raw_images = True
      .type = bool
      .help = "Show pairs on the raw images where they can be read."
    compare_with = None
      .type = path
      .help = "JSON file of an earlier run, of X-ray data for instance, whose results are"
              "shown beside the new ones."
    seed = 0
      .type = int(value_min=0, value_max=4294967295)
      .help = "Seed of the random numbers behind intervals and permutations. The same seed"
              "gives the same result."
    nproc = Auto
      .type = int(value_min=1, value_max=4096)
      .help = "Number of threads. Auto uses all cores."
    """
    + OUTPUT
)

NOISY = ("noisy_spots.filter", "noisy_spots.leave_out")
OF_THIS_RUN = ("output", "pair", "nproc", "dask", *NOISY)
"""Parameters that say nothing about a comparison of other files."""


def compare_files(params, phil: iotbx.phil.scope, files, log) -> None:
    """Read, compare and write."""
    earlier = [params.compare_with] if params.compare_with else []
    _, reference, data = session.gather(
        lambda: check_outputs(params.output, [*files, earlier]),
        lambda: read_earlier(params.compare_with, COMMAND),
        lambda: right_factors.read_as(files, params, origins_phil.columns(params)),
    )
    check_crystals(data.experiments, data.names)
    data.refuse_given_twice()
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
        emptied=not params.output.filtered,
    )
    give_back()
    provenance = Provenance(
        COMMAND, data.files, session.parameters(phil, params),
        session.changed_parameters(phil, params, OF_THIS_RUN), data.lp,
        data.notes,
    )  # fmt: skip
    filtered = origins_phil.filtered_table(params, data, comparison)
    write_results(
        comparison, provenance, params.output, log, reference, params.raw_images, filtered
    )  # fmt: skip


@session.command
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.compare_images from the command line."""
    usage = "dials.compare_images [options] integrated.expt integrated.refl [...]"
    params, files, log = session.start(usage, __doc__, phil, args)
    try:
        with cluster.on_workers(params.dask.scheduler, params.dask.local):
            if params.dask.observations == "workers":
                compare_kept(params, phil, COMMAND, files, log)
            else:
                compare_files(params, phil, files, log)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
