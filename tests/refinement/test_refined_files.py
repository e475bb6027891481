"""Refined structures as files, read again by cctbx and by the program itself."""

from __future__ import annotations

import re

import numpy as np
import pytest

import iotbx.cif
import iotbx.shelx
from cctbx.array_family import flex
from smtbx.refinement.constraints.geometrical import hydrogens

from dials_spread.refinement import RefinementSettings, refine
from dials_spread.refinement.difference_map import nearest
from dials_spread.refinement.refined_cif import refined_cif
from dials_spread.refinement.refined_res import formula_units, refined_res
from dials_spread.shelx import write_hkl
from dials_spread.structures.structure_files import read_structure

SCALE = 3.7


@pytest.fixture(scope="module")
def lacking(glycine, intensities):
    """α-glycine without N and its hydrogen, refined against intensities with noise."""
    labels = [s.label for s in glycine.scatterers()]
    left = [x for x in labels if "n1" in x.lower()]
    part = glycine.select(flex.bool([x not in left for x in labels]))
    rng = np.random.default_rng(1)
    f_sq = intensities(glycine, 0.75, counting=0.03, scale=SCALE, rng=rng)
    settings = RefinementSettings(start_shift=0.0, n_peaks=5)
    return refine(part, f_sq, settings=settings, rng=rng), f_sq


@pytest.fixture(scope="module")
def res(lacking):
    return refined_res(lacking[0], 0.0251, write_hkl(lacking[1]).factor, "glycine")


def test_cctbx_reads_the_atoms_and_what_rides(lacking, res, tmp_path):
    path = tmp_path / "refined.res"
    # cctbx knows no form factors in SFAC: elements alone.
    names = " ".join(re.findall(r"^SFAC (\S+)", res, re.M))
    path.write_text(re.sub(r"(SFAC .*=\n.*\n(REM.*\n)?)+", f"SFAC {names}\n", res))
    found = iotbx.shelx.parse_smtbx_refinement_model(filename=str(path))
    refined = lacking[0].structure
    own = {s.label.upper(): s for s in refined.scatterers()}
    assert len(own) == found.structure.scatterers().size()
    for atom in found.structure.scatterers():
        scatterer = own[atom.label.upper()]
        np.testing.assert_allclose(atom.site, scatterer.site, atol=2e-6)
        u = [s.u_iso_or_equiv(refined.unit_cell()) for s in (atom, scatterer)]
        assert u[0] == pytest.approx(u[1], abs=2e-5)
    pivots = [
        c.pivot for c in found.constraints if hasattr(c, "constrained_site_indices")
    ]
    riding = [g for g in lacking[0].groups if g.geometry]
    assert len(pivots) == len(riding)
    assert found.structure.space_group() == refined.space_group()


def test_our_own_reader_takes_it_as_a_structure(lacking, res, tmp_path):
    path = tmp_path / "refined.res"
    path.write_text(res)
    again = read_structure(str(path))
    sites = np.array(again.sites_frac())
    distance, _ = nearest(again, np.array(lacking[0].structure.sites_frac()), sites)
    assert len(sites) == lacking[0].structure.scatterers().size()  # no Q peaks
    assert distance.max() < 1e-4


def test_instructions_of_the_file(lacking, res):
    one, f_sq = lacking
    (fvar,) = re.findall(r"^FVAR (\S+)$", res, re.M)
    factor = write_hkl(f_sq).factor
    # Intensities of the file over those of the structure; N and its H are not in it.
    assert float(fvar) ** 2 / factor == pytest.approx(one.scale, rel=1e-4)
    lines = res.splitlines()
    assert lines[0] == "TITL glycine"
    # C1 has two H; the parent comes right before AFIX, and its H before AFIX 0.
    at = next(i for i, x in enumerate(lines) if x.startswith("AFIX") and x != "AFIX 0")
    assert lines[at - 2].startswith("C1") and lines[at - 2].endswith("=")
    assert all(
        x.startswith("H") and x.endswith("-1.20000") for x in lines[at + 1 : at + 3]
    )
    assert lines[at + 3] == "AFIX 0"
    end = lines.index("END")
    assert lines.index("HKLF 4") < end
    told = re.search(
        r"R1 = +(\S+) for (\d+) Fo > 4sig\(Fo\) and (\S+) for all (\d+)", res
    )
    assert told.groups() == (
        f"{one.r1_strong:.4f}", str(one.n_strong), f"{one.r1_all:.4f}",
        str(one.n_observations),
    )  # fmt: skip
    assert max(map(len, lines)) <= 80


def test_the_first_q_peak_is_the_missing_atom(glycine, lacking, res):
    q = [x.split() for x in res.splitlines() if re.match(r"Q\d", x)]
    high = [p for p in lacking[0].peaks if p.in_sigma > 4]
    assert 0 < len(high) < 5  # the others are noise
    assert [x[0] for x in q] == [f"Q{i + 1}" for i in range(len(high))]
    # The potential of F [Å] in a volume [Å³], h²/(2π m e) = 47.878 V Å².
    assert float(q[0][-1]) * 47.878 == pytest.approx(high[0].height, rel=0.01)
    heights = [float(x[-1]) for x in q]
    assert heights == sorted(heights, reverse=True)
    n1 = next(s.site for s in glycine.scatterers() if s.label == "N1")
    site = np.array([q[0][2:5]], float)
    assert nearest(glycine, site, np.array([n1]))[0][0] < 0.15


def test_a_cif_with_standard_uncertainties(lacking):
    one = lacking[0]
    text = refined_cif(one, 0.0251, "my glycine", (6.0, 0.75), "Corrected")
    (block,) = iotbx.cif.reader(input_string=text).model().values()
    assert block["_refine_ls_R_factor_gt"] == f"{one.r1_strong:.4f}"
    assert block["_refine_ls_wR_factor_ref"] == f"{one.wr2:.4f}"
    assert block["_refine_ls_goodness_of_fit_ref"] == f"{one.goodness_of_fit:.3f}"
    assert block["_diffrn_radiation_probe"] == "electron"
    assert block["_cell_formula_units_Z"] == "4"
    # 14.40 V are the potential of one elementary charge at 1 Å.
    height = float(block["_refine_diff.potential_max"]) * 14.3996
    assert height == pytest.approx(one.highest_peak.height, abs=0.01)
    labels = list(block["_atom_site_label"])
    rides = {h for group in one.groups for h in group.hydrogen}
    cell = one.structure.unit_cell().parameters()
    for i in range(len(labels)):
        written = [block[f"_atom_site_fract_{x}"][i] for x in "xyz"]
        if i in rides:
            assert "(" not in "".join(written)
            assert block["_atom_site_calc_flag"][i] == "calc"
            continue
        sus = []
        for k, word in enumerate(written):
            value, digits = re.fullmatch(r"(-?\d+\.(\d+)\(\d+\))", word).groups()
            su = float(value[:-1].split("(")[1]) / 10 ** len(digits)
            sus.append(su * cell[k])
        # That of the mean over the directions, to the digit that is written.
        assert np.sqrt(np.mean(np.square(sus))) == pytest.approx(one.mean_su, rel=0.6)
    lengths = dict(
        zip(
            zip(
                block["_geom_bond_atom_site_label_1"],
                block["_geom_bond_atom_site_label_2"],
            ),
            block["_geom_bond_distance"],
        )
    )
    assert {frozenset(x) for x in lengths} == {
        frozenset(x) for x in (("C1", "C2"), ("C2", "O1"), ("C2", "O2"))
    }
    assert "_atom_type_scat" not in text


def test_uncertainties_are_those_of_repeated_measurements(polar, intensities):
    """Eight atoms, refined against six sets of intensities that differ by their σ."""
    settings = RefinementSettings(
        start_shift=0.0, weights=(0.0, 0.0), anisotropic=False
    )
    sites, su = [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        f_sq = intensities(polar, 0.8, counting=0.05, rng=rng)
        one = refine(polar, f_sq, settings=settings, rng=rng)
        sites.append([s.site[0] for s in one.structure.scatterers()])
        text = refined_cif(one, 0.0251)
        (block,) = iotbx.cif.reader(input_string=text).model().values()
        for word in block["_atom_site_fract_x"]:
            value, digits = re.fullmatch(r"-?\d+\.(\d+)\((\d+)\)", word).groups()
            su.append(float(digits) / 10 ** len(value))
    spread = np.sqrt(np.mean(np.var(sites, axis=0, ddof=1)))
    assert spread == pytest.approx(np.sqrt(np.mean(np.square(su))), rel=0.35)


def test_formula_units(glycine):
    contents, Z = formula_units(glycine)
    assert Z == 4
    assert contents == pytest.approx({"C": 2, "H": 5, "N": 1, "O": 2})


def test_every_geometry_has_a_code():
    from dials_spread.refinement.hydrogen import GEOMETRIES
    from dials_spread.refinement.refined_res import AFIX

    assert set(GEOMETRIES.values()) == set(AFIX)
    # SHELX-97 manual: m is 1 for CH, 2 for CH2, 4 for aromatic CH, 9 for =CH2 and NH2.
    assert AFIX[hydrogens.secondary_planar_xh_site] == 43
