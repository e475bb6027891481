"""What the programs of the branches read: the files given, or copies that are right."""

from __future__ import annotations

import numpy as np

from dials.array_family import flex

from dials_spread.observations import right_factors
from dials_spread.placement.given_files import files_for_programs


def test_right_files_are_given_as_they_are(data_folder, tmp_path):
    given = [str(data_folder / "quartz" / f"integrated.{e}") for e in ("expt", "refl")]
    data = right_factors.read(given[:1], given[1:])
    assert files_for_programs(data, given, tmp_path / "folder") == given
    assert not (tmp_path / "folder").exists()


def test_a_reciprocal_column_is_mended_for_dials_scale(data_folder, tmp_path):
    """The copy has the factor of DIALS itself, and all else as it was."""
    expt, refl = (
        str(data_folder / "quartz" / f"integrated.{e}") for e in ("expt", "refl")
    )
    right = flex.reflection_table.from_file(refl)
    wrong = right.copy()
    wrong["lp"] = 1.0 / right["lp"]
    wrong.as_file(str(tmp_path / "wrong.refl"))
    given = [expt, str(tmp_path / "wrong.refl")]
    data = right_factors.read(given[:1], given[1:])
    found = files_for_programs(data, given, tmp_path / "folder")
    copy = flex.reflection_table.from_file(found[1])
    lp, expected = (t["lp"].as_numpy_array() for t in (copy, right))
    # DIALS 3.12 takes electrons for polarised, a thousandth at these angles.
    np.testing.assert_allclose(lp, expected, rtol=2e-3)
    assert sorted(copy.keys()) == sorted(right.keys())
    for name in ("intensity.prf.value", "intensity.sum.variance", "xyzcal.px"):
        assert list(copy[name]) == list(right[name])


def test_tables_of_xds_without_flags_get_them(data_folder, tmp_path):
    expt, refl = (
        str(data_folder / "quartz" / f"integrated.{e}") for e in ("expt", "refl")
    )
    table = flex.reflection_table.from_file(refl)
    table["intensity.cor.value"] = table["intensity.prf.value"]
    del table["flags"]
    table.as_file(str(tmp_path / "xds.refl"))
    given = [expt, str(tmp_path / "xds.refl")]
    data = right_factors.read(given[:1], given[1:])
    found = files_for_programs(data, given, tmp_path / "folder")
    copy = flex.reflection_table.from_file(found[1])
    assert copy.get_flags(copy.flags.integrated_prf).all_eq(True)
