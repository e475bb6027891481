"""The gate from the command line: sentences about copies, pickles, pipes and numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dials.array_family import flex
from dials.util import Sorry


def test_the_same_crystals_under_other_identifiers(good, refused):
    """Agreement with oneself would pass for agreement between crystals."""
    table = good.table
    names = table.experiment_identifiers()
    for k in [*names.keys()]:
        del names[k]
        names[k] = f"copy {k}"
        good.experiments[k].identifier = f"copy {k}"
    good.experiments.as_file("copy.expt")
    table.as_file("copy.refl")
    told = refused(good.expt, good.refl, "copy.expt", "copy.refl")
    assert len(told) == 3
    assert told[0].startswith("Crystal 3 (copy.expt) is crystal 0 (good.expt) again: ")


def test_pickle_tables_only_where_allowed(good, refused):
    for name in ("a", "b"):
        good.table.as_pickle(f"{name}.refl")
    (line,) = refused(good.expt, "a.refl")
    assert line.startswith("a.refl: a pickle file, as old releases of DIALS wrote them")
    assert "allow_pickle=True reads it" in line
    told = refused(good.expt, "a.refl", "b.refl", "allow_pickle=True")
    assert told == ["b.refl: a second table for 3 of the experiments"]
    (line,) = refused(good.expt, "a.refl", "b.refl")
    assert line.endswith("(so are 1 more)")


def test_nobody_waits_for_a_pipe(good, refused):
    os.mkfifo("pipe.refl")
    os.mkfifo("pipe")
    assert refused(good.expt, "pipe.refl") == [
        "pipe.refl: a pipe or device, not a file"
    ]
    assert refused(good.expt, good.refl, "compare_with=pipe") == [
        "pipe: a pipe or device, not a file"
    ]


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("nproc=-inf", "nproc=-inf: a whole number or Auto is needed"),
        ("n_pairs_shown=inf", "n_pairs_shown=inf: a whole number is needed"),
        (
            "variogram.max_pairs=9**9**9",
            "variogram.max_pairs=9**9**9: a whole number is needed",
        ),
        (
            "seed=__import__('os').mkdir('x')",
            "seed=__import__('os').mkdir('x'): a whole number is needed",
        ),
        ("beam.annulus=0.1,nan", "beam.annulus cannot be [0.1, nan]"),
        ("beam.annulus=None", "beam.annulus cannot be None"),
        ("output.log=Auto", "output.log=Auto: a name, or None, is needed"),
    ],
)
def test_numbers_that_are_none(good, refused, argument, told):
    assert refused(good.expt, good.refl, argument) == [told]


def test_code_in_a_file_of_parameters_is_not_run(good, refused):
    Path("a.phil").write_text("seed = __import__('os').mkdir('was_run')\n")
    (line,) = refused(good.expt, good.refl, "a.phil")
    assert line.endswith("a whole number is needed")


def test_an_option_that_argparse_refuses(good):
    from dials_spread.command_line.compare_images import run

    told = (
        "ignored explicit argument .x.; -h lists the options",
        # of Python 3.13 and later
        "-x: no such option; -h lists them",
    )
    with pytest.raises(Sorry, match="|".join(told)):
        run([good.expt, good.refl, "-vx"])


@pytest.mark.parametrize(
    "command",
    ["compare_images", "ml_correct", "simulate_ed", "compare_placement", "import_pets"],
)
def test_every_number_has_bounds(command):
    import importlib

    page = importlib.import_module(f"dials_spread.command_line.{command}")
    unbounded = [
        d.path
        for d in page.phil_scope.all_definitions()
        if not d.path.startswith("scale.")  # those of dials.scale
        and d.object.type.phil_type in ("int", "float", "ints", "floats")
        and None in (d.object.type.value_min, d.object.type.value_max)
    ]
    assert unbounded == []


def test_undoing_half_of_a_correction(good):
    from dials_spread.command_line.ml_correct import run

    table = good.table
    table["ml_correction"] = flex.double(len(table), 1.1)
    for what in ("value", "variance"):
        name = f"intensity.prf.{what}"
        table[f"intensity.prf.original.{what}"] = table[name] * 1.0
    del table["intensity.prf.original.variance"]
    table.as_file("half.refl")
    with pytest.raises(Sorry, match="without the column intensity.prf.original.var"):
        run([good.expt, "half.refl", "undo=True"])
    assert not Path("uncorrected.refl").exists()
