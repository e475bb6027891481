# LIBTBX_SET_DISPATCHER_NAME dials.simulate_ed
"""
Simulate 3D electron-diffraction data of many crystals, with multiple scattering.

Electrons scatter more than once in a crystal, and how they do depends on its thickness
and orientation. This program simulates the integrated data of any number of crystals of
one structure by N-beam Bloch waves, with the noise of a real measurement, and writes an
ordinary experiment list and reflection table that the DIALS programs take as they take
measured data. What went in is kept in extra columns: kinematic |F|^2
(intensity.kinematic.value), dynamical intensity (intensity.dynamical.value), and
thickness, scale, beam fluctuation and each error (truth.*).

The structure is read from a CIF, a SHELX .ins or .res file or a PDB file; or it is one
of abiraterone, glycine, paracetamol and quartz; or a random one.

Examples::

  dials.simulate_ed structure=quartz

  dials.simulate_ed structure=my.cif n_crystals=200 d_min=0.8 thickness.median=600

  dials.simulate_ed structure=my.res wave=kinematic seed=3

  dials.simulate_ed structure=random random.kind=organic seed=17

  dials.simulate_ed structure=my.cif n_crystals=2000 dask.scheduler=tcp://head:8786
"""

from __future__ import annotations

import numpy as np

import iotbx.phil
from cctbx import xray
from dials.util import Sorry, show_mail_handle_errors
from libtbx import Auto

from dials_spread import session
from dials_spread.output_files import check_outputs
from dials_spread.report.document import Provenance
from dials_spread.report.simulation_outputs import (
    log_structure,
    structure_document,
    write_simulation,
)
from dials_spread.simulation.crystals import Setup
from dials_spread.simulation.datasets import simulate_experiments
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.dynamical import ThicknessModel
from dials_spread.simulation.electrons import wavelength_of
from dials_spread.simulation.frame_contents import FrameModel
from dials_spread.simulation.frames import check_room, write_frames
from dials_spread.simulation.memory import check_memory
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.parameters import FRAMES, OUTPUT, SIMULATION
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.simulation.rocking import BeamSelection
from dials_spread.simulation.structure_checks import check_structure
from dials_spread.simulation.structure_files import read_structure

COMMAND = "dials.simulate_ed"

phil_scope = iotbx.phil.parse(SIMULATION + FRAMES + OUTPUT)


def get_structure(params) -> xray.structure:
    """Read or draw the structure that the parameters ask for, and check it."""
    if params.structure is None:
        raise ValueError(
            "no structure given; give structure=file, structure=quartz or "
            "structure=random (-h shows examples)"
        )
    if params.structure != "random":
        structure = read_structure(params.structure, params.cif_block)
    else:
        kind = params.random.kind
        wishes = Wishes(
            kind=None if kind == "any" else kind,
            space_group=params.random.space_group,
            volume=tuple(params.random.volume),
        )
        # A stream of its own, so that the crystals of a seed do not depend on it.
        structure = random_compound(np.random.default_rng([params.seed, 1]), wishes)
    check_structure(structure, params.d_min)
    return structure


def get_setup(params) -> Setup:
    """Gather what the parameters say about the experiment."""
    names = ("d_min", "mosaicity", "tilt_spread", "exposure", "n_pixels", "wave")
    beams = session.leaves(params.beams)
    blocks = params.mosaicity if beams.pop("mosaic") else 0.0
    return Setup(
        wavelength=params.wavelength or wavelength_of(1e3 * params.voltage),
        thickness=ThicknessModel(**session.leaves(params.thickness)),
        selection=BeamSelection(
            absorption=params.absorption, mosaicity=blocks, **beams
        ),
        noise=NoiseModel(**session.leaves(params.noise)),
        **{name: getattr(params, name) for name in names},
    )


def check_names(output) -> None:
    """Refuse what DIALS would not write, or not read again."""
    wanted = {"experiments": ".expt", "reflections": ".refl"}
    wrong = [
        f"output.{name}={value} must end in {suffix}"
        for name, suffix in wanted.items()
        if not str(value := getattr(output, name)).endswith(suffix)
    ]
    if wrong:
        raise ValueError("\n".join(wrong))


def get_frames(params) -> FrameModel:
    """Gather what the parameters say about raw frames, and see that they would fit."""
    if params.output.images:
        n_frames = params.n_crystals * round(params.scan_width / params.image_width)
        folder = params.output.image_folder
        check_room(folder, n_frames, params.n_pixels, params.output.images)
    shared = ("background", "dead_time", "counting")
    noise = {name: getattr(params.noise, name) for name in shared}
    return FrameModel(**noise, **session.leaves(params.frames))


def check_size(
    structure: xray.structure, setup: Setup, resources: Resources, n_crystals: int
) -> None:
    """Refuse what would not fit into the memory of this machine."""
    if setup.wave == "dynamical" and resources.scheduler is None:
        thickest = setup.thickness.median * np.exp(2 * setup.thickness.spread)
        processes = resources.processes(n_crystals)
        cell = structure.unit_cell()
        check_memory(cell, setup.d_min, thickest, setup.selection, processes)


@show_mail_handle_errors()
def run(args: list[str] | None = None, phil: iotbx.phil.scope = phil_scope) -> None:
    """Run dials.simulate_ed from the command line."""
    usage = "dials.simulate_ed [options] structure=my.cif [n_crystals=200] [...]"
    params, files, log = session.start(usage, __doc__, phil, args, needs_files=False)
    try:
        if any(files):
            raise ValueError("measured data cannot be simulated yet: give structure=")
        inputs = [params.structure] if params.structure else []
        *_, structure, setup, frames = session.gather(
            lambda: check_outputs(params.output, [inputs]),
            lambda: check_names(params.output),
            lambda: get_structure(params),
            lambda: get_setup(params),
            lambda: get_frames(params),
        )
        log_structure(structure_document(params.structure, structure))
        nproc = None if params.nproc is Auto else params.nproc
        resources = Resources(nproc, params.dask.scheduler, progress=True)
        check_size(structure, setup, resources, params.n_crystals)
        experiments, reflections = simulate_experiments(
            structure,
            np.random.default_rng(params.seed),
            n_crystals=params.n_crystals,
            scan_width=params.scan_width,
            image_width=params.image_width,
            resources=resources,
            **vars(setup),
        )
        if params.output.images:
            write_frames(
                *(experiments, reflections, params.output.image_folder),
                file_format=params.output.images,
                # A stream of its own: the table is the same without frames.
                rng=np.random.default_rng([params.seed, 2]),
                model=frames,
                resources=Resources(nproc, progress=True),
            )
        write_simulation(
            experiments,
            reflections,
            structure,
            Provenance(COMMAND, inputs, session.parameters(phil, params)),
            params.output,
            log,
            name=params.structure,
            wave=params.wave,
        )
    except (ValueError, OSError) as error:
        raise Sorry(str(error)) from None


if __name__ == "__main__":
    run()
