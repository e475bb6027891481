# LIBTBX_SET_DISPATCHER_NAME dials.simulate_ed
"""
Simulate 3D electron-diffraction data of many crystals, with multiple scattering.

Electrons scatter more than once in a crystal, and how they do depends on its thickness
and orientation. This program simulates the integrated data of any number of crystals of
one structure by N-beam Bloch waves, with the noise of a real measurement, and writes an
experiment list and a reflection table that the DIALS programs take as they take measured
data. Extra columns hold what was put in: kinematic |F|^2 (intensity.kinematic.value),
dynamical intensity (intensity.dynamical.value), and thickness, scale, beam fluctuation and
each error (truth.*).

structure= is a CIF, a SHELX .ins or .res file or a PDB file; or abiraterone, glycine,
paracetamol or quartz, which come with the program; or random. -c lists all parameters with
what they mean.

Examples::

  dials.simulate_ed structure=quartz

  dials.simulate_ed structure=my.cif n_crystals=200 d_min=0.8 thickness.median=600

  dials.simulate_ed structure=my.res wave=kinematic seed=3

  dials.simulate_ed structure=random random.kind=organic seed=17

  dials.simulate_ed structure=my.cif n_crystals=2000 dask.scheduler=tcp://head:8786

  dials.simulate_ed structure=salt.cif charges="Na=+1 Cl=-1"

With measured data, their own crystals are simulated: a thickness is fitted to each, and
the same reflections are written with intensity.dynamical.value and
intensity.kinematic.value::

  dials.simulate_ed scaled.expt scaled.refl structure=my.cif
"""

from __future__ import annotations

import numpy as np

import iotbx.phil
from dials.util import Sorry
from libtbx import Auto

from dials_spread import session
from dials_spread.command_line._at_measured import charge_effect, simulate_files
from dials_spread.command_line._simulation_setup import (
    check_names,
    checked_size,
    get_frames,
    get_setup,
    get_structure,
)
from dials_spread.output_files import check_outputs
from dials_spread.report.page.document import Provenance
from dials_spread.report.simulate_ed.simulation_outputs import (
    log_structure,
    structure_document,
    write_simulation,
)
from dials_spread.scattering.charges import phil_str as CHARGES
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.frames import draw_frames
from dials_spread.simulation.parameters import FRAMES, OUTPUT, SIMULATION
from dials_spread.thickness.parameters import MEASURED
from dials_spread.valid_input.reading import PHIL as READING

COMMAND = "dials.simulate_ed"

phil_scope = iotbx.phil.parse(
    SIMULATION + CHARGES + FRAMES + MEASURED + READING + OUTPUT
)


def simulate_crystals(structure, setup, frames, params, provenance, effect, log):
    """Simulate crystals of any number, and write them."""
    nproc = None if params.nproc is Auto else params.nproc
    resources = Resources(nproc, params.dask.scheduler, progress=True)
    resources = checked_size(structure, setup, resources, params.n_crystals)
    experiments, reflections = simulate_experiments(
        structure,
        np.random.default_rng(params.seed),
        n_crystals=params.n_crystals,
        scan_width=params.scan_width,
        image_width=params.image_width,
        resources=resources,
        **vars(setup),
    )
    drawn = []
    if params.output.images:
        made = draw_frames(
            experiments,
            reflections,
            params.output.image_folder,
            file_format=params.output.images,
            # A stream of its own: the table is the same without frames.
            rng=np.random.default_rng([params.seed, 2]),
            model=frames,
            resources=Resources(nproc, progress=True),
        )
        drawn.append(made)
    write_simulation(
        experiments,
        reflections,
        structure,
        provenance,
        params.output,
        log,
        name=params.structure,
        wave=params.wave,
        effect=effect,
        drawn=drawn,
    )


@session.command
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.simulate_ed from the command line."""
    usage = "dials.simulate_ed [options] structure=my.cif [n_crystals=200] [...]"
    params, files, log = session.start(usage, __doc__, phil, args, needs_files=False)
    try:
        inputs = [params.structure] if params.structure else []
        if params.structure != "random":
            params.output.structure = None
        *_, structure, setup, frames = session.gather(
            lambda: check_outputs(params.output, [inputs, *files]),
            lambda: check_names(params.output),
            lambda: get_structure(params),
            lambda: get_setup(params),
            lambda: get_frames(params),
        )
        log_structure(structure_document(params.structure, structure))
        provenance = Provenance(
            COMMAND, [*files[0], *files[1], *inputs], session.parameters(phil, params)
        )
        effect = charge_effect(structure, params)
        if any(files):
            simulate_files(
                structure, setup.selection, effect, files, params, provenance, log
            )
        else:
            simulate_crystals(structure, setup, frames, params, provenance, effect, log)
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
