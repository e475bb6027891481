"""
What differs between DIALS releases, in one place.

Written for Debian's DIALS 3.12 and for the current 3.30. Everything else in the
package may take these functions for granted.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import re
import sys
from typing import Any, Callable, TypeVar

import numpy as np
from scipy.sparse.linalg import cg

import dxtbx.model
from dxtbx.model import Beam, Experiment, ExperimentList, Panel

import dials_spread

Parsed = TypeVar("Parsed")

# No X-ray beamline reaches wavelengths [Å] this short, no electron microscope in
# use for diffraction (60 kV and more) exceeds it.
LONGEST_ELECTRON_WAVELENGTH = 0.05


def is_still(experiment: Experiment) -> bool:
    """
    Say whether an experiment is a still.

    DIALS 3.12 leaves the scan out or gives it a width of zero; later releases also
    keep a scan without the oscillation property, which raises RuntimeError.

    Args:
        experiment: One dxtbx experiment.

    Returns:
        True where the crystal did not rotate during an exposure.
    """
    if experiment.scan is None or experiment.goniometer is None:
        return True
    try:
        return experiment.scan.get_oscillation()[1] == 0
    except RuntimeError:
        return True


def probe(beam: Beam) -> str:
    """
    Name the radiation of a beam.

    Beams know their probe since dxtbx 3.14, but 3D ED data are widely processed
    with the default, x-ray, so the wavelength has the last word.

    Args:
        beam: A dxtbx beam, wavelength in Å.

    Returns:
        "electrons", "neutrons" or "X-rays".
    """
    if beam.get_wavelength() < LONGEST_ELECTRON_WAVELENGTH:
        return "electrons"
    get_name = getattr(beam, "get_probe_name", None)
    if get_name is None:
        return "X-rays"
    name = get_name().lower()
    return {"electron": "electrons", "neutron": "neutrons"}.get(name, "X-rays")


def trusts_lower_end(panel: Panel) -> bool:
    """
    Say whether the least count of a panel's trusted range is to be trusted.

    It is not in DIALS 3.12, where files therefore have -1 for "from 0 on". It is in later
    releases, which take -1 from these files as it stands; but -1 is no count, and what
    pixels hold that were not read.

    Args:
        panel: A dxtbx panel.
    """
    low, _ = panel.get_trusted_range()
    return low != -1 and panel.is_value_in_trusted_range(low)


def set_electrons(beam: Beam) -> None:
    """
    Say of a beam that it is of electrons, where beams know their probe (dxtbx 3.14).

    Args:
        beam: A dxtbx beam, changed in place.
    """
    if hasattr(dxtbx.model, "Probe"):
        beam.set_probe(dxtbx.model.Probe.electron)


def keep_history(old: Experiment, new: Experiment) -> None:
    """
    Give an experiment the history of another, where experiments have one (dxtbx 3.26).

    Args:
        old: Where it was read.
        new: Its copy, changed in place.
    """
    if getattr(old, "history", None) is not None:
        new.history = old.history


def experiments_file(experiments: ExperimentList, program: str | None) -> bytes:
    """
    Give experiments as the content of a file, with the program in their history.

    Files have a history since dxtbx 3.26, a line for each program that wrote them:
    ``time|program|version``. dxtbx names the module that calls it where it knows no
    program of it, and the version of DIALS with every name that begins with ``dials.``.

    Args:
        experiments: In later releases they get the same history.
        program: Such as dials.ml_correct. None adds no line, so that what is written does
            not depend on the time.
    """
    text = experiments.as_json()
    history = next((getattr(e, "history", None) for e in experiments), None)
    if history is not None:
        *lines, last = history.get_history()
        if program is not None:
            when, _, _, *flags = last.split("|")
            ours = [when, program, f"v{dials_spread.__version__}", *flags]
            lines.append("|".join(ours))
        for experiment in experiments:
            experiment.history = dxtbx.model.History(lines)
        text = json.dumps({**json.loads(text), "history": lines}, indent=2)
    return text.encode("utf-8")


def parsed_or_refused(parse: Callable[[], Parsed]) -> Parsed:
    """
    Parse arguments, and refuse them alike in every release.

    DIALS 3.12 raises RuntimeError where a parameter does not serve; later releases, as
    argparse for options, print their usage and a message, and leave with status 2.

    Args:
        parse: Parses, without arguments.

    Returns:
        What it returns.

    Raises:
        RuntimeError: Why the arguments do not serve, in one line.
        SystemExit: After -h or -c.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            result = parse()
    except SystemExit as error:
        if not error.code:
            raise
        told = error.code if isinstance(error.code, str) else said.getvalue()
        words = (["", *(x for x in told.splitlines() if x.strip())])[-1]
        words = re.sub(r"^(\S+: )?error: ", "", words, flags=re.IGNORECASE)
        raise RuntimeError(words or "the arguments are not understood") from None
    sys.stderr.write(said.getvalue())
    return result


def cif_error(told: str) -> tuple[str, int | None]:
    """
    Find what the CIF parser of cctbx complains of; it was exchanged before DIALS 3.30.

    Args:
        told: Its message.

    Returns:
        The first name of a loop whose values are too few or too many, or nothing; and
        the number of the line, if told.
    """
    loop = re.search(r"loop containing (?:tag )?'?([^\s']+)", told)
    line = re.search(r"\bline (\d+)|^<string>:(\d+):", told)
    return loop[1] if loop else "", int(line[1] or line[2]) if line else None


def conjugate_gradients(
    matrix: Any, vector: np.ndarray, inverse: Any, tolerance: float, steps: int
) -> np.ndarray:
    """
    Solve a linear system by scipy's conjugate gradients.

    Args:
        matrix: Shape (n, n), positive definite: a LinearOperator.
        vector: Shape (n,).
        inverse: Of the matrix, nearly.
        tolerance: Length of the residual over that of the vector; scipy 1.12 has given
            the argument another name.
        steps: At most.
    """
    name = "rtol" if "rtol" in inspect.signature(cg).parameters else "tol"
    given = {name: tolerance, "atol": 0, "maxiter": steps}
    return cg(matrix, vector, M=inverse, **given)[0]


def available_cores() -> int:
    """
    Count the processors that this process may use.

    Returns:
        The number of cores; DIALS has moved its own function between releases.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1
