"""Files corrected one after the other, against all of them in memory, byte by byte."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cctbx.array_family import flex as cctbx_flex
from dxtbx.model import ExperimentList

from dials_spread.correction.apply.file_by_file import can_be_joined, let_go
from dials_spread.correction.apply.tables import corrected_table
from dials_spread.observations import build_observations, right_factors
from dials_spread.observations.rejected import rejected_in_scaling
from dials_spread.prepare.geometry import add_geometry
from dials_spread.valid_input.columns import READ
from dials_spread.valid_input.joined_columns import JoinedColumns


@pytest.fixture(scope="module")
def files(read_measured, tmp_path_factory):
    """Four crystals in two tables, of which the second lists one before the other."""
    folder = tmp_path_factory.mktemp("files")
    experiments, tables = read_measured("abiraterone/integrated")
    experiments[:4].as_file(str(folder / "all.expt"))
    for name, own in (("a", (0, 1)), ("b", (3, 2))):
        joined = None
        for number, k in enumerate(own):
            part = tables[k].select(cctbx_flex.bool(len(tables[k]), True))
            names = part.experiment_identifiers()
            for key in [*names.keys()]:
                del names[key]
            part["id"] = cctbx_flex.int(len(part), number)
            names[number] = experiments[k].identifier
            joined = part if joined is None else joined
            if joined is not part:
                joined.extend(part)
        joined.as_file(str(folder / f"{name}.refl"))
    return [str(folder / "all.expt")], [str(folder / f"{n}.refl") for n in "ab"]


def correction(data, lorentz: str):
    """Random factors, errors and offsets."""
    observations = build_observations(data.experiments, data.tables)
    measured = add_geometry(observations, data.experiments, data.tables, lorentz)
    rng = np.random.default_rng(3)
    n = len(measured)
    return SimpleNamespace(
        measured=measured,
        column=np.exp(0.3 * rng.normal(size=n)),
        offset=np.where(rng.random(n) < 0.1, rng.normal(size=n), 0.0),
        uncertainty=rng.random(n),
        inflation=1 + rng.random(n),
        common=rng.random(n),
        beyond=None,
        taken_in=rejected_in_scaling(measured, data.tables),
    )


@pytest.mark.parametrize(
    ("lp", "lorentz"), [("auto", "auto"), ("geometry", "applied"), ("auto", "missing")]
)
def test_it_is_what_all_of_them_in_memory_give(files, lp, lorentz):
    expt, refl = files
    assert can_be_joined(refl)
    read = {
        some: right_factors.read(expt, refl, lp=lp, columns=READ if some else None)
        for some in (True, False)
    }
    result = correction(read[False], lorentz)
    if lorentz == "missing":
        assert result.measured.lorentz_applied_here
    let_go(read[True].tables)
    experiments, found = corrected_table(read[True], result, emptied=True)
    assert isinstance(found, JoinedColumns) and isinstance(experiments, ExperimentList)
    _, wanted = corrected_table(read[False], result)
    whole = b"".join(found)
    assert whole == wanted.as_msgpack() and len(found) == len(wanted)
    assert [e.identifier for e in experiments] == [*found.identifiers]


def test_corrected_files_are_joined_in_memory(files, tmp_path):
    """The original intensities of their crystals are columns of their own."""
    expt, refl = files
    data = right_factors.read(expt, refl, columns=READ)
    _, found = corrected_table(data, correction(data, "applied"))
    done = tmp_path / "corrected.refl"
    done.write_bytes(b"".join(found))
    assert not can_be_joined([str(done)])
    assert not can_be_joined([*refl, str(done)])


def test_a_file_that_lost_rows_is_told(files, tmp_path):
    expt, refl = files
    copies = [tmp_path / name for name in ("a.refl", "b.refl")]
    for name, copy in zip(refl, copies):
        copy.write_bytes(open(name, "rb").read())
    data = right_factors.read(expt, [str(c) for c in copies], columns=READ)
    result = correction(data, "applied")
    copies[1].write_bytes(copies[0].read_bytes())
    with pytest.raises(OSError, match="b.refl was changed during the run"):
        corrected_table(data, result)


def test_flags_of_outliers_that_were_taken_in_are_written(files):
    expt, refl = files
    read = {
        some: right_factors.read(expt, refl, columns=READ if some else None)
        for some in (True, False)
    }
    result = correction(read[False], "applied")
    chosen = np.random.default_rng(4).random(len(result.measured)) < 0.1
    result.taken_in = chosen
    _, found = corrected_table(read[True], result, emptied=True)
    _, wanted = corrected_table(read[False], result)
    assert b"".join(found) == wanted.as_msgpack()
    taken_in = wanted["ml_correction.taken_in"].as_numpy_array() > 0
    assert taken_in.sum() == chosen.sum()
    assert wanted.get_flags(wanted.flags.scaled).as_numpy_array()[taken_in].all()
