# LIBTBX_SET_DISPATCHER_NAME dials.import_pets
"""
Make .expt and .refl files of what PETS2 wrote for dynamical refinement (.cif_pets).

Each file, or data block with frames, is one crystal. Orientations are those of the zone
axes, α, β and ω of each frame; a scan has even steps, and what differs from them is in
the orientation of the crystal, which varies along it. Each frame is the second of three
images. Where the tilt turns back, or is far from even, the crystal has several
experiments.

Intensities and σ are those of the file, or sums of their parts where frames are narrower
than rocking curves. The Lorentz factor is not in them: there is no column lp, and
correction (dials.ml_correct) applies it, that of precession where there is a column
pets.precession_angle. The file names no space group: give space_group=. Detector, pixel
positions and shoeboxes are nominal: the file has none. -c lists all parameters with what
they mean.

Examples::

  dials.import_pets crystal.cif_pets space_group=P21/n

  dials.import_pets first.cif_pets second.cif_pets space_group=P212121 \\
      output.experiments=both.expt output.reflections=both.refl
"""

from __future__ import annotations

import logging
import sys

import iotbx.phil
from dials.util import Sorry
from libtbx import Auto

from dials_spread import session
from dials_spread.arguments import PHIL_FILES
from dials_spread.output_files import check_outputs
from dials_spread.pets.conversion import ImportChoices, convert
from dials_spread.report.page.labels import counted
from dials_spread.report.page.report_files import write_all
from dials_spread.versions import experiments_file

COMMAND = "dials.import_pets"

logger = logging.getLogger("dials.spread.command_line.import_pets")

phil_scope = iotbx.phil.parse(
    """
space_group = None
  .type = str
  .help = "Symbol of the space group in the setting of the file, such as P21/n. None "
          "takes that of the file, or P 1 where it has none, as files of PETS2."
cell = *matrix header
  .type = choice
  .help = "The cell is that of the orientation matrix, or that in the header of the "
          "file. They differ where distortions were refined after the matrix."
wavelength = None
  .type = float(value_min=0.001, value_max=1)
  .help = "Wavelength in angstrom. None takes that of the file."
max_relative_excitation_error = Auto
  .type = float(value_min=0, value_max=1e9)
  .help = "Reflections on frames on which the excitation error is a greater fraction "
          "of the range of the frame are left out. Auto is 0.7 where "
          "a frame has its own part of an intensity, else all are kept. None keeps all."
sum_frames = Auto
  .type = bool
  .help = "Whether the parts of an intensity that frames have are summed, to one of each "
          "crossing of the Ewald sphere. Auto sums where frames are narrower than the "
          "rocking curves of the reflections."
max_deviation = 1.0
  .type = float(value_min=0, value_max=360)
  .help = "In one experiment no tilt is further from that of even steps, in degrees."
output {
  experiments = imported.expt
    .type = path
    .help = "The experiments, one a crystal or more. None writes none."
  reflections = imported.refl
    .type = path
    .help = "The reflections of all experiments. None writes none."
  log = dials.import_pets.log
    .type = path
    .help = "The log of the run. None writes none."
}
"""
)


def split_arguments(args: list[str] | None) -> tuple[list[str], list[str]]:
    """Tell names of files from options, parameters and phil files."""
    args = sys.argv[1:] if args is None else [str(a) for a in args]
    files = [
        a
        for a in args
        if a[:1] != "-" and "=" not in a and not a.lower().endswith(PHIL_FILES)
    ]
    # The number behind an option that takes one is no file.
    files = [f for f in files if not f.isdigit()]
    return files, [a for a in args if a not in files]


@session.command
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.import_pets from the command line."""
    usage = "dials.import_pets [options] data.cif_pets [...]"
    files, others = split_arguments(args)
    params, _, log = session.start(usage, __doc__, phil, others, needs_files=False)
    if not files:
        raise Sorry("no files given. Give .cif_pets files; -h shows examples")
    limit = params.max_relative_excitation_error
    choices = ImportChoices(
        space_group=params.space_group,
        cell=params.cell,
        wavelength=params.wavelength,
        max_relative_error="auto" if limit is Auto else limit,
        tolerance=params.max_deviation,
        summed=None if params.sum_frames is Auto else params.sum_frames,
    )
    try:
        _, (experiments, table) = session.gather(
            lambda: check_outputs(params.output, [files]),
            lambda: convert(files, choices),
        )
        out = params.output
        logger.info(
            "\nDetector (500 mm from the crystal, pixels of 0.05 mm), positions on it, "
            "shoeboxes and partialities of 1 are nominal. No Lorentz factor is in the "
            "intensities, and none was applied.\n"
            "To see frames one by one, give dials.compare_images the image_width= of "
            "the steps above.\n\n%s, %s: %s, %s",
            counted(len(experiments), "experiment"),
            *(counted(len(table), "reflection"), out.experiments, out.reflections),
        )
        contents = {}
        if out.experiments:
            contents[out.experiments] = experiments_file(experiments, COMMAND)
        if out.reflections:
            contents[out.reflections] = table.as_msgpack()
        write_all(contents, out.log, log)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
