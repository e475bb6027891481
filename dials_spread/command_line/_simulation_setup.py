"""From the parameters of dials.simulate_ed to structure, experiment and frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cctbx import xray

from dials_spread import session
from dials_spread.command_line._at_measured import with_charges
from dials_spread.scattering.dynamical import ThicknessModel
from dials_spread.scattering.electrons import wavelength_of
from dials_spread.scattering.memory import check_memory, estimate_size
from dials_spread.scattering.rocking import BeamSelection
from dials_spread.simulation.crystals import Setup
from dials_spread.simulation.driver import Resources
from dials_spread.simulation.frame_contents import FrameModel
from dials_spread.simulation.frames import check_room
from dials_spread.simulation.noise import NoiseModel
from dials_spread.simulation.random_compounds import Wishes, random_compound
from dials_spread.structures.structure_checks import check_structure
from dials_spread.structures.structure_files import read_structure


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
    return with_charges(structure, params.charges)


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


def checked_size(
    structure: xray.structure, setup: Setup, resources: Resources, n_crystals: int
) -> Resources:
    """
    Refuse what would not fit into the memory of this machine.

    Returns:
        Where to simulate, with the bytes that a crystal takes; workers are asked what they
        may use when they are known.
    """
    if setup.wave != "dynamical":
        return resources
    thickest = setup.thickness.median * np.exp(2 * setup.thickness.spread)
    one = structure.unit_cell(), setup.d_min, thickest, setup.selection
    if resources.scheduler is None:
        size = check_memory(*one, resources.processes(n_crystals))
    else:
        size = estimate_size(*one)
    return replace(resources, takes=size.total)
