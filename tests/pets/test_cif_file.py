"""What is wrong with a file is told in one line."""

from __future__ import annotations

import re

import pytest

from dials.util import Sorry

from dials_spread.command_line.import_pets import run

ALPHA = [0.0, 0.7, 1.4]


def edit(text, old, new, count=1):
    assert re.search(old, text, re.MULTILINE)
    return re.sub(old, new, text, count=count, flags=re.MULTILINE)


SPOILED = {
    "no matrix": (r"^_diffrn_orient_matrix_UB_22.*\n", "", "no orientation matrix"),
    "left-handed": (
        r"^(_diffrn_orient_matrix_UB_.1) (\S+)\n",
        lambda m: f"{m[1]} {-float(m[2]):.6f}\n",
        "no right-handed cell",
    ),
    "no wavelength": (r"wavelength .*", "wavelength ?", "give wavelength="),
    "no alpha": (
        r"^_diffrn_zone_axis_alpha$",
        "_other",
        "have no _diffrn_zone_axis_al",
    ),
    "no sigma": (r"^_refln_intensity_sigma$", "_other", "lacks _refln_intensity_sig"),
    "no frames": (r"^_diffrn_zone_axis_id$", "_other", "no frames"),
    "cut short": (r"\S+ \S+\n\Z", "", "too few or too many values"),
    "no CIF": (r"\Adata_pets", "PETS", "not a CIF"),
    "frame twice": (r"^2 (?=\S+ \S+ \S+ 0.900)", "1 ", "one is there twice"),
    "modulated": (r"^_refln_index_l$", "_refln_index_l\n_refln_index_m_1", "modulated"),
    "one value": (
        r"^_diffrn_zone_axis_scale$",
        "_other",
        "_diffrn_zone_axis_id has 3 values and _diffrn_zone_axis_scale has 1",
    ),
    "huge matrix": (
        r"^(_diffrn_orient_matrix_UB_13) \S+",
        r"\1 9e28",
        "is that of no crystal",
    ),
    "huge": (r"^((?:-?\d+ ){3})\d+\.\d\d ", r"\g<1>1e300 ", "no intensity is so large"),
    "far axes": (r"^_diffrn_zone_axis_omega$", "_x", None),
}


def refused(capsys, *args):
    with pytest.raises((Sorry, SystemExit)) as caught:
        run(list(args))
    capsys.readouterr()
    return str(caught.value).removeprefix("Sorry: ")


@pytest.mark.parametrize("kind", [k for k, v in SPOILED.items() if v[2]])
def test_files_that_do_not_serve(make, tmp_path, capsys, kind):
    old, new, words = SPOILED[kind]
    made = make(ALPHA)
    count = 0 if kind == "left-handed" else 1
    text = edit(made.text(), old, new, count)
    if kind == "one value":
        text = text.replace(
            "_cell_length_a", "_diffrn_zone_axis_scale 1\n_cell_length_a"
        )
    if kind == "modulated":
        text = re.sub(r"^((?:-?\d+ ){3})(?=\S+\.\d\d )", r"\g<1>0 ", text, flags=re.M)
    (tmp_path / "made.cif_pets").write_text(text)
    told = refused(capsys, "made.cif_pets")
    assert words in told and "made.cif_pets" in told and "\n" not in told
    assert [p.name for p in tmp_path.iterdir()] == ["made.cif_pets"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "no files given"),
        (["none.cif_pets"], "no such file"),
        (["made.cif_pets", "space_group=P99"], "no space group"),
        (["made.cif_pets", "space_group=P4"], "is not that of P 4"),
        (["made.cif_pets", "spacegroup=P1"], "did you mean space_group?"),
        (["made.cif_pets", "output.reflections=made.cif_pets"], "overwrite an input"),
    ],
)
def test_arguments_that_do_not_serve(make, tmp_path, capsys, args, words):
    make(ALPHA)
    told = refused(capsys, *args)
    assert words in told and "\n" not in told
    assert [p.name for p in tmp_path.iterdir()] == ["made.cif_pets"]


def test_zone_axes_of_another_convention_are_refused(make, tmp_path, capsys):
    made = make(ALPHA, omega=130.0)
    made.axes = made.axes[:, [1, 0, 2]]
    (tmp_path / "made.cif_pets").write_text(made.text())
    assert "of another convention" in refused(capsys, "made.cif_pets")


def test_lines_that_do_not_serve_are_counted(make, tmp_path, capsys):
    made = make(ALPHA)
    lines = made.text().rstrip("\n").split("\n")
    fields = [lines[-k].split() for k in range(1, 6)]
    fields[0][3], fields[1][4], fields[2][5] = "?", "0.00", "99"
    fields[3][:3] = ["0", "0", "0"]
    for k, words in enumerate(fields, 1):
        lines[-k] = " ".join(words)
    (tmp_path / "made.cif_pets").write_text("\n".join(lines) + "\n")
    run(["made.cif_pets"])
    capsys.readouterr()
    log = (tmp_path / "dials.import_pets.log").read_text()
    for told in (
        *("1 with no whole index", "1 with index 0 0 0"),
        *("1 with σ not positive", "1 with frame that is not"),
    ):
        assert told in log
    assert f"{len(made.lines) - 4} reflections on them" in log


def test_signs_of_windows_in_the_text_do_not_matter(make, tmp_path, capsys):
    made = make(ALPHA)
    content = made.text(header="continuous rotation, 1 \u00c5").encode("latin-1")
    (tmp_path / "made.cif_pets").write_bytes(content.replace(b"\n", b"\r\n"))
    run(["made.cif_pets"])
    capsys.readouterr()
    log = (tmp_path / "dials.import_pets.log").read_text()
    assert f"{len(made.lines)} reflections on them" in log


def test_a_wavelength_that_nobody_can_choose(make, tmp_path, capsys):
    (tmp_path / "made.cif_pets").write_text(make(ALPHA).text())
    told = refused(capsys, "made.cif_pets", "wavelength=Auto")
    assert told == "wavelength cannot be Auto"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (bytes(range(128, 256)) * 20, "not a CIF"),
        (b"HKL", "not a CIF"),
    ],
)
def test_what_is_no_cif_at_all(tmp_path, monkeypatch, capsys, content, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.cif_pets").write_bytes(content)
    assert words in refused(capsys, "x.cif_pets")
    assert len(list(tmp_path.iterdir())) == 1
