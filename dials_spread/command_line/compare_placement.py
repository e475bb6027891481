# LIBTBX_SET_DISPATCHER_NAME dials.compare_placement
"""
Correct before scaling, after it, or not at all: which gives the better structure?

The same integrated data are treated in several ways by the real programs with the same
options: dials.scale alone; dials.ml_correct, then dials.scale; dials.scale, then
dials.ml_correct; and, where the Lorentz factor was missing, this factor alone. With
model=, a model that was trained on one's own data has a branch of its own.

Each branch is compared with a structure: R1 of merged intensities, refinement by least
squares from moved and from given coordinates, hydrogen in the difference map, and
solution from scratch. Crystals are resampled, so that a difference comes with an
interval, and the verdict is given in one sentence. Where SHELXT and SHELXL are on PATH,
they are run, too.

Without structure= the structure is solved first. It is then not independent of the data.

Results of the branches stay in a folder and are used again when the command is repeated
with the same input. Parameters of dials.scale are given as scale.name=value, those of
dials.ml_correct as correct.name=value. -c lists all parameters with what they mean.

Examples::

  dials.compare_placement integrated.expt integrated.refl structure=my.cif

  dials.compare_placement integrated.expt integrated.refl structure=my.ins \\
      scale.absorption_correction=False

  dials.compare_placement integrated.expt integrated.refl structure=my.cif \\
      model=trained.model

  dials.compare_placement integrated.expt integrated.refl composition="C 8 H 9 N O 2"
"""

from __future__ import annotations

from pathlib import Path

import iotbx.phil
from dials.util import Sorry
from libtbx import Auto

from dials_spread import session
from dials_spread.interruption import say_when_ended
from dials_spread.observations import right_factors
from dials_spread.observations.crystals import check_crystals
from dials_spread.output_files import check_outputs, reserve
from dials_spread.placement.best_files import best_files
from dials_spread.placement.comparison import PlacementChoices, compare_placements
from dials_spread.placement.given_files import files_for_programs
from dials_spread.placement.input_data import check_comparable
from dials_spread.placement.known_structure import check_fits
from dials_spread.placement.parameters import PHIL, check_choices, passed_on
from dials_spread.placement.structure_tests import StructureChoices
from dials_spread.report.compare_placement.placement_outputs import write_placement
from dials_spread.report.page.document import Provenance
from dials_spread.versions import available_cores

COMMAND = "dials.compare_placement"

phil_scope = iotbx.phil.parse(PHIL, process_includes=True)


def structure_choices(params) -> StructureChoices:
    """Give what is chosen about refinement and solution."""
    weights = params.refinement.weights
    return StructureChoices(
        refine=params.refinement.enable,
        start_shift=params.refinement.start_shift,
        max_cycles=params.refinement.max_cycles,
        weights=None if weights is None else (weights[0], weights[1]),
        solve=params.solution.enable,
        starts=params.solution.starts,
        seed=params.seed,
    )


def placement_choices(phil: iotbx.phil.scope, params) -> PlacementChoices:
    """Give all that is chosen."""
    return PlacementChoices(
        structure=params.structure,
        block=params.cif_block,
        composition=params.composition,
        model=None if params.model is None else Path(params.model).resolve(),
        scale=passed_on(phil, params, "scale"),
        correct=passed_on(phil, params, "correct"),
        folder=Path(params.folder),
        draws=params.resampling.draws,
        smallest=params.smallest_difference,
        tests=structure_choices(params),
        shelx=params.shelx is not False,
        seed=params.seed,
        nproc=available_cores() if params.nproc is Auto else params.nproc,
    )


def check_input(files, params):
    """Read data; refuse what branches could not take, or what is not of the structure."""
    own = params.correct
    found = right_factors.read(
        files[0], files[1], lp=own.lp, tell=True, allow_pickle=own.allow_pickle
    )
    check_crystals(found.experiments, found.names)
    found.refuse_given_twice()
    check_comparable(found.experiments, found.tables)
    if params.structure is not None:
        check_fits(params.structure, found.experiments, params.cif_block)
    return found


def keep_to_one_run(folder: Path) -> None:
    """Let no second run work in the folder of the branches, and say what stays there."""
    folder.mkdir(parents=True, exist_ok=True)
    reserve({str(folder): f"folder={folder}"})
    say_when_ended(f"programs that had ended are used again from {folder}")


@session.command
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.compare_placement from the command line."""
    usage = "dials.compare_placement [options] integrated.expt integrated.refl [...]"
    params, files, log = session.start(usage, __doc__, phil, args)
    more = [name for name in (params.structure, params.model) if name]
    try:
        *_, choices, data = session.gather(
            lambda: check_outputs(params.output, [*files, more]),
            lambda: check_choices(params),
            lambda: placement_choices(phil, params),
            lambda: check_input(files, params),
        )
        keep_to_one_run(choices.folder)
        provenance = Provenance(
            COMMAND, [*files[0], *files[1], *more], session.parameters(phil, params),
            lp=data.lp,
        )  # fmt: skip
        given = files_for_programs(data, [*files[0], *files[1]], choices.folder)
        result = compare_placements(given, choices)
        write_placement(
            result, provenance, params.output, log, best_files(result, params.output)
        )
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
