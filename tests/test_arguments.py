"""Arguments that do not serve are named, each with what to do instead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import iotbx.phil

from dials_spread.arguments import argument_problems, suggestions

PHIL = iotbx.phil.parse(
    """
    d_min = None
      .type = float(value_min=0)
    image_width = 1.0
      .type = float(value_min=0)
    matching {
      min_common = 5
        .type = int(value_min=1)
      top = 10
        .type = int(value_min=1)
    }
    spread.analyse = True
      .type = bool
    beam.analyse = True
      .type = bool
    compare_with = None
      .type = path
    """
)
WITH_REFERENCE = iotbx.phil.parse(
    "reference = None\n  .type = path\n  .multiple = True"
)
WITH_STRUCTURE = iotbx.phil.parse("structure = None\n  .type = str")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problems(*args, phil=PHIL):
    return argument_problems(phil, args)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("image_widht", ["image_width"]),
        ("imagewidth", ["image_width"]),
        ("dmin", ["d_min"]),
        ("matching.min_comon", ["matching.min_common"]),
        ("mathcing.top", ["matching.top"]),
        ("something_else", []),
    ],
)
def test_misspelt_parameters_get_suggestions(misspelt, meant):
    assert suggestions(PHIL, misspelt) == meant
    (told,) = problems(f"{misspelt}=3")
    assert told.startswith(f"{misspelt}=3: no parameter is called {misspelt}; ")
    if meant:
        assert told.endswith(f"did you mean {meant[0]}?")
    else:
        assert told.endswith("-c lists all parameters")


def test_every_name_suggests_itself():
    for definition in PHIL.all_definitions():
        assert suggestions(PHIL, definition.path)[0] == definition.path


def test_a_parameter_of_another_command_is_told():
    from dials_spread.command_line.ml_correct import phil_scope

    told = problems("image_width=0", "min_common=3", phil=phil_scope)
    assert told[0].startswith(
        "image_width=0: no parameter is called image_width here, but one of "
        "dials.compare_images and of dials.simulate_ed; "
    )
    assert "min_common here, but one of dials.compare_images; " in told[1]


def test_all_values_of_a_file_that_do_not_serve_are_told():
    Path("bad.phil").write_text("matching {\n  top = x\n}\nspread.analyse = perhaps\n")
    assert problems("bad.phil") == [
        "bad.phil: matching.top=x: a whole number is needed",
        "bad.phil: spread.analyse=perhaps: True or False is needed",
    ]


def test_a_name_that_several_parameters_have():
    assert problems("analyse=False") == [
        "analyse=False: several parameters match analyse: spread.analyse, beam.analyse; "
        "give the full name"
    ]


def test_arguments_that_serve():
    Path("good.phil").write_text("matching.top = 3\n")
    assert problems("a.expt", "A.REFL", "good.phil", "min_common=3", "d_min=None") == []


def test_all_that_is_wrong_is_told_at_once():
    told = problems(
        "no.expt", "image_width=-1", "matching.top=Auto", "widht=3", "x.mtz"
    )
    assert [line.split(":")[0].split(" ")[0] for line in told] == [
        "image_width",
        "matching.top",
        "widht=3",
        "x.mtz",
        "no.expt",
    ]
    assert told[-1] == "no.expt: no such file"


@pytest.mark.parametrize("name", ["my.cif", "my.ins", "my.RES", "my.pdb"])
def test_structures(name):
    assert problems(name, phil=WITH_REFERENCE) == [
        f"{name}: a structure; to compare with it, write reference={name}"
    ]
    assert problems(name, phil=WITH_STRUCTURE) == [
        f"{name}: a structure; to simulate it, write structure={name}"
    ]
    (told,) = problems(name)
    assert "which this command does not take; give the .expt and .refl" in told


@pytest.mark.parametrize("name", ["my.mtz", "my.hkl", "my.fcf"])
def test_lists_of_reflections(name):
    (told,) = problems(name, phil=WITH_REFERENCE)
    assert told.endswith(f"to compare with it, write reference={name}")
    for phil in (WITH_STRUCTURE, PHIL):
        (told,) = problems(name, phil=phil)
        assert "a list of reflections without the geometry of the images" in told
        assert "give the .expt and .refl files of dials.integrate" in told


def test_files_of_xds():
    Path("other.HKL").write_text("!FORMAT=XDS_ASCII    MERGE=FALSE\n")
    Path("shelx.hkl").write_text("   1   0   0   10.00    1.00\n")
    for name in ("other.HKL", "XDS_ASCII.HKL"):
        (told,) = problems(name, phil=WITH_REFERENCE)
        assert told.startswith(
            f"{name}: a reflection file of XDS; dials.import_xds makes"
        )
        assert told.endswith(f"reference={name}")
        assert "reference=" not in problems(name, phil=PHIL)[0]
    assert "reference=" not in problems("INTEGRATE.HKL", phil=WITH_REFERENCE)[0]
    assert "reference=shelx.hkl" in problems("shelx.hkl", phil=WITH_REFERENCE)[0]


@pytest.mark.parametrize(
    "name, words",
    [
        ("a.cif_pets", "dials.import_pets makes .expt and .refl"),
        ("b.stream", "process the images with dials.stills_process"),
        ("c_1_1.rodhypix", "dials.import (of DIALS 3.16 or later)"),
    ],
)
def test_files_of_other_programs(name, words):
    (told,) = problems(name)
    assert told.startswith(f"{name}: ") and words in told


@pytest.mark.parametrize("name", ["a_0001.cbf", "a.img", "b.tiff", "c.mrc", "d.h5"])
def test_images(name):
    (told,) = problems(name)
    assert told.startswith(f"{name}: an image; give what dials.import, ")
    assert "dials.integrate" in told


def test_results_of_an_earlier_run():
    Path("old.json").write_text(json.dumps({"command": "dials.compare_images"}))
    Path("list.json").write_text(json.dumps({"__id__": "ExperimentList"}))
    assert problems("old.json", "list.json") == [
        "old.json: results of dials.compare_images, not experiments; "
        "compare_with=old.json shows them beside the new ones"
    ]
    assert problems("old.json", phil=WITH_STRUCTURE) == [
        "old.json: results of dials.compare_images, not experiments"
    ]


def test_names_with_spaces_that_the_shell_took_apart():
    Path("my  data.expt").write_text("{}")
    Path("my data").mkdir()
    Path("my data/a.refl").write_text("x")
    Path("my own.cif").write_text("x")
    assert problems("my", "data/a.refl") == [
        "my data/a.refl: a name with a space in it; put it in quotes, as 'my data/a.refl'"
    ]
    (told,) = problems("reference=my", "own.cif", phil=WITH_REFERENCE)
    assert told.endswith("put it in quotes, as 'reference=my own.cif'")
    assert problems("my data/a.refl") == []


def test_folders():
    for name in ("empty", "full", "my own"):
        Path(name).mkdir()
    for name in ("b.refl", "a.expt", "c.txt"):
        Path("full", name).write_text("x")
    Path("my own/a.expt").write_text("x")
    assert problems("my own")[0].endswith("such as 'my own/a.expt'")
    assert problems("empty", "full") == [
        "empty: a folder; give the .expt and .refl files by name; there are none in it",
        "full: a folder; give the files by name, such as full/a.expt full/b.refl",
    ]


def test_what_is_nothing_at_all():
    Path("notes.txt").write_text("x")
    there, missing = problems("notes.txt", "nothing")
    assert there.startswith(
        "notes.txt: not a file of DIALS. Give .expt and .refl files"
    )
    assert missing.startswith("nothing: no such file, and no parameter")
    (told,) = problems("quartz", phil=WITH_STRUCTURE)
    assert told.endswith("did you mean structure=quartz?")
    assert problems("image_width=") == ["image_width=: a value is missing"]


def test_files_of_parameters():
    Path("bad.phil").write_text("image_widht = 3\nmatching.top = 0\n")
    Path("broken.phil").write_text("matching {")
    told = problems("bad.phil", "broken.phil", "no.phil")
    assert told[0] == (
        "bad.phil: no parameter is called image_widht; did you mean image_width?"
    )
    assert told[1].startswith("bad.phil: matching.top element is less than the minimum")
    assert told[2:] == ["broken.phil: not understood as phil", "no.phil: no such file"]
