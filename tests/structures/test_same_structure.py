"""One structure, written in every format, setting and origin, has the same amplitudes."""

from __future__ import annotations

import numpy as np
import pytest

from cctbx import adptbx, crystal, sgtbx, xray

from dials_spread.structures.cell_content import cell_content

KINDS = (("C", 0.03), ("N", 0.045), ("O", (0.03, 0.04, 0.05, 0.004, -0.006, 0.003)))
OCCUPANCIES = (1.0, 0.75, 0.4)
HKL = np.array([(1, 0, 2), (0, 2, 2), (1, 1, 1), (2, -1, 3), (-3, 2, 1), (4, 2, -2)])

GROUPS = {
    "P -1": (6.1, 7.2, 8.3, 81, 95, 103),
    "P 1 21/n 1": (6.1, 7.2, 8.3, 90, 104, 90),
    "C 1 2/c 1": (9.1, 7.2, 8.3, 90, 104, 90),
    "P n m a": (6.1, 7.2, 8.3, 90, 90, 90),
    "I 41/a :2": (6.1, 6.1, 8.3, 90, 90, 90),
    "R -3 :H": (9.1, 9.1, 8.3, 90, 90, 120),
    "P 21 3": (8.1, 8.1, 8.1, 90, 90, 90),
}
CHANGES = {
    "as it is": "x,y,z",
    "other axes": "y,z,x",
    "other origin": "x+1/4,y+1/2,z+1/6",
    "both": "-x+1/4,z+1/12,y",
}


def made(symbol: str, seed: int = 0) -> xray.structure:
    """Three atoms anywhere, partly occupied, one anisotropic, one more on the origin."""
    rng = np.random.default_rng(seed)
    structure = xray.structure(
        special_position_settings=crystal.special_position_settings(
            crystal.symmetry(GROUPS[symbol], symbol), min_distance_sym_equiv=0.2
        )
    )
    for (kind, u), occupancy in zip(KINDS, OCCUPANCIES):
        if not isinstance(u, float):
            u = adptbx.u_cart_as_u_star(structure.unit_cell(), u)
        structure.add_scatterer(
            xray.scatterer(
                f"{kind}1", site=tuple(rng.random(3).round(5)), u=u, occupancy=occupancy,
                scattering_type=kind,
            )
        )  # fmt: skip
    site = tuple(rng.random(3)) if symbol == "P 21 3" else (0, 0, 0)
    structure.add_scatterer(
        xray.scatterer("S1", site=site, u=0.05, scattering_type="S")
    )
    return structure


def numbers(values, digits: int = 7) -> str:
    return " ".join(f"{x:.{digits}f}" for x in values)


def operations(structure) -> list[str]:
    return [op.as_xyz() for op in structure.space_group().all_ops(mod=1)]


def tensor(structure, atom) -> tuple[float, ...]:
    return adptbx.u_star_as_u_cif(structure.unit_cell(), atom.u_star)


def as_cif(structure, dot: str = "_", symmetry: str = "operations") -> str:
    cell = structure.unit_cell().parameters()
    lines = ["data_x"]
    names = ("length_a", "length_b", "length_c")
    names += ("angle_alpha", "angle_beta", "angle_gamma")
    lines += [f"_cell{dot}{name} {value:.6f}" for name, value in zip(names, cell)]
    if symmetry == "operations":
        lines += ["loop_", f"_space_group_symop{dot}operation_xyz"]
        lines += [f"'{xyz}'" for xyz in operations(structure)]
    else:
        hall = structure.space_group_info().type().hall_symbol()
        lines.append(f"_space_group{dot}name_Hall '{hall.strip()}'")
    names = ("label", "type_symbol", "fract_x", "fract_y", "fract_z")
    names += ("U_iso_or_equiv", "occupancy")
    lines += ["loop_", *(f"_atom_site{dot}{name}" for name in names)]
    atoms = structure.scatterers()
    for s in atoms:
        u = "." if s.flags.use_u_aniso() else f"{s.u_iso:.6f}"
        occupancy = "." if s.occupancy == 1 else f"{s.occupancy:.6f}"
        site = numbers(s.site)
        lines.append(f"{s.label} {s.scattering_type} {site} {u} {occupancy}")
    names = ("label", "U_11", "U_22", "U_33", "U_12", "U_13", "U_23")
    if any(s.flags.use_u_aniso() for s in atoms):
        lines += ["loop_", *(f"_atom_site_aniso{dot}{name}" for name in names)]
    for s in atoms:
        if s.flags.use_u_aniso():
            lines.append(f"{s.label} {numbers(tensor(structure, s))}")
    return "\n".join(lines) + "\n"


def as_shelx(structure) -> str:
    cell = structure.unit_cell().parameters()
    group = structure.space_group()
    centre = "-x,-y,-z" in operations(structure)
    letter = group.conventional_centring_type_symbol()
    seen, lines = {"x,y,z"}, []
    for op in group.all_ops(mod=1):
        # Of those that differ by the centre at the origin, or by centring, one is told.
        same = {
            sgtbx.rt_mx("x,y,z" if sign > 0 else "-x,-y,-z").multiply(op).mod_positive()
            for sign in ((1, -1) if centre else (1,))
        }
        same = {
            (t.multiply(o)).mod_positive().as_xyz()
            for o in same
            for t in (group(i, 0, 0) for i in range(group.n_ltr()))
        }
        if not same & seen:
            lines.append(f"SYMM {op.as_xyz()}")
        seen |= same
    head = ["TITL x", f"CELL 0.0251 {numbers(cell)}", "ZERR 1 0 0 0 0 0 0"]
    lattice = "PIRFABC".index(letter) + 1
    head += [f"LATT {lattice if centre else -lattice}", *lines, "SFAC C N", "SFAC O S"]
    head += ["UNIT 1 1 1 1", "FVAR 1"]
    kinds = {"C": 1, "N": 2, "O": 3, "S": 4}
    for s in structure.scatterers():
        sof = 10 + s.occupancy * s.multiplicity() / group.order_z()
        if s.flags.use_u_aniso():
            u11, u22, u33, u12, u13, u23 = tensor(structure, s)
            u = f"{numbers((u11, u22))} =\n {numbers((u33, u23, u13, u12))}"
        else:
            u = f"{s.u_iso:.6f}"
        kind = kinds[s.scattering_type]
        head.append(f"{s.label} {kind} {numbers(s.site)} {sof:.7f} {u}")
    return "\n".join([*head, "HKLF 4", "END", ""])


def isotropic(structure):
    """A copy whose displacements PDB and mmCIF tell in one column."""
    structure = structure.deep_copy_scatterers()
    structure.convert_to_isotropic()
    return structure


def with_columns_of_pdb(structure):
    """A copy whose coordinates and displacements have the digits of a PDB file."""
    structure, cell = structure.deep_copy_scatterers(), structure.unit_cell()
    for atom in structure.scatterers():
        xyz = np.round(cell.orthogonalize(atom.site), 3)
        atom.site = cell.fractionalize(tuple(float(x) for x in xyz))
        atom.u_iso = adptbx.b_as_u(round(adptbx.u_as_b(atom.u_iso), 2))
    return structure


def as_pdb(structure) -> str:
    cell = structure.unit_cell()
    a, b, c, alpha, beta, gamma = cell.parameters()
    symbol = str(structure.space_group_info()).split(":")[0].strip()
    lines = [
        f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}{alpha:7.2f}{beta:7.2f}{gamma:7.2f} {symbol:<11}"
    ]
    for k, s in enumerate(structure.scatterers(), 1):
        x, y, z = cell.orthogonalize(s.site)
        lines.append(
            f"HETATM{k:5d}  {s.label:<3} LIG A   1    {x:8.3f}{y:8.3f}{z:8.3f}"
            f"{s.occupancy:6.2f}{adptbx.u_as_b(s.u_iso):6.2f}          {s.scattering_type:>2}"
        )
    return "\n".join([*lines, "END", ""])


def as_mmcif(structure) -> str:
    text = as_cif(structure, ".", "hall").split("loop_")[0]
    symbol = str(structure.space_group_info()).split(":")[0].strip()
    text += f"_symmetry.space_group_name_H-M '{symbol}'\n"
    names = "group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id"
    names += (
        " label_seq_id Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id"
    )
    names += " auth_asym_id pdbx_PDB_model_num label_entity_id"
    text += "loop_\n" + "".join(f"_atom_site.{name}\n" for name in names.split())
    for k, s in enumerate(structure.scatterers(), 1):
        xyz = numbers(structure.unit_cell().orthogonalize(s.site))
        text += (
            f"HETATM {k} {s.scattering_type} {s.label} . LIG A 1 {xyz} {s.occupancy}"
        )
        text += f" {adptbx.u_as_b(s.u_iso):.6f} 1 A 1 1\n"
    return text


WRITERS = {
    "a.cif": as_cif,
    "dotted.cif": lambda structure: as_cif(structure, "."),
    "hall.cif": lambda structure: as_cif(structure, symmetry="hall"),
    "a.ins": as_shelx,
    "a.res": as_shelx,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("symbol", GROUPS)
def test_in_every_setting(symbol, change, tmp_path, direct_sum, read_amplitudes):
    first = made(symbol, len(symbol))
    operator = sgtbx.change_of_basis_op(CHANGES[change])
    other = first.change_basis(operator)
    hkl = np.array([operator.apply(tuple(map(int, h))) for h in HKL])
    atoms = [
        (
            s.scattering_type, *s.site, s.occupancy,
            tensor(first, s) if s.flags.use_u_aniso() else s.u_iso,
        )
        for s in first.scatterers()
    ]  # fmt: skip
    expected = direct_sum(first.unit_cell().parameters(), operations(first), atoms, HKL)
    assert expected.max() > 0.1
    for name, writer in WRITERS.items():
        if name[-3:] in ("ins", "res") and "R" in symbol and change != "as it is":
            continue  # obverse axes alone have a LATT
        (tmp_path / name).write_text(writer(other))
        read, structure = read_amplitudes(tmp_path / name, hkl)
        np.testing.assert_allclose(
            read, expected, atol=1e-4 * expected.max(), err_msg=name
        )
        assert cell_content(structure) == pytest.approx(cell_content(first), abs=1e-3)


@pytest.mark.parametrize("change", ["as it is", "other axes"])
@pytest.mark.parametrize("symbol", ["P -1", "P 1 21/n 1", "P n m a", "P 21 3"])
def test_in_formats_of_macromolecules(
    symbol, change, tmp_path, direct_sum, read_amplitudes
):
    operator = sgtbx.change_of_basis_op(CHANGES[change])
    other = isotropic(made(symbol, 3)).change_basis(operator)
    other = with_columns_of_pdb(other)
    first = other.change_basis(operator.inverse())
    hkl = np.array([operator.apply(tuple(map(int, h))) for h in HKL])
    atoms = [
        (s.scattering_type, *s.site, s.occupancy, s.u_iso) for s in first.scatterers()
    ]
    expected = direct_sum(first.unit_cell().parameters(), operations(first), atoms, HKL)
    for name, writer in (
        ("a.mmcif", as_mmcif),
        ("a.cif", as_mmcif),
        ("a.pdb", as_pdb),
        ("a.ent", as_pdb),
        ("b.cif", as_cif),
        ("b.ins", as_shelx),
    ):
        (tmp_path / name).write_text(writer(other))
        read, _ = read_amplitudes(tmp_path / name, hkl)
        np.testing.assert_allclose(
            read, expected, atol=1e-4 * expected.max(), err_msg=name
        )
