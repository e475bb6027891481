# LIBTBX_SET_DISPATCHER_NAME xia2.multiplex_corrected
"""
Run xia2.multiplex with the correction for multiple scattering in it.

For electron diffraction data of many crystals. It takes all that xia2.multiplex takes
and gives all that it gives, in the same places, with a section more in its report, the
log and report of each correction, and its citations.

correct.placement=before (the default) corrects the integrated intensities of all data
sets together, when dials.cosym has given them one indexing, and before they are scaled.
after corrects scaled intensities, after each run of dials.scale. none runs xia2.multiplex
as it is. both runs the first two, in the folders before and after, and puts their
statistics side by side in xia2.multiplex_corrected.html.

Options of dials.ml_correct are given as correct.strength, correct.lorentz and so on.
Give symmetry.space_group where it is known, and resolution.d_min: the correction knows
the resolution limit that xia2.multiplex finds only after scaling, and noise beyond it
makes estimates worse.

Examples::

  xia2.multiplex_corrected integrated.expt integrated.refl

  xia2.multiplex_corrected integrated.expt integrated.refl correct.placement=both \\
    symmetry.space_group=P212121 resolution.d_min=0.85

  xia2.multiplex_corrected integrated.expt integrated.refl correct.placement=after \\
    correct.strength=0.5 filtering.method=deltacchalf
"""

from __future__ import annotations

import sys

from dials.util import Sorry

from dials_spread import session
from dials_spread.interruption import say_when_ended
from dials_spread.multiplex.arguments import correct_scope, read_plan
from dials_spread.multiplex.driver import run_multiplex
from dials_spread.multiplex.releases import find_xia2
from dials_spread.multiplex.side_by_side import run_both
from dials_spread.output_files import reserve

phil_scope = correct_scope()

USAGE = "xia2.multiplex_corrected [options] integrated.expt integrated.refl [...]"


@session.command
def run(args: list[str] | None = None) -> None:
    """Run xia2.multiplex_corrected from the command line."""
    args = sys.argv[1:] if args is None else list(args)
    try:
        xia2 = find_xia2()
        plan = read_plan(xia2.command.phil_scope, args, USAGE, __doc__)
        reserve({"xia2.multiplex.log": "xia2.multiplex.log in this folder"})
        say_when_ended("the files in this folder may be incomplete")
        if plan.placement == "both":
            run_both(args, nproc=plan.nproc)
        else:
            run_multiplex(xia2, plan, args)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
