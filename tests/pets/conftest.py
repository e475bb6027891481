"""Files as PETS2 writes them, made by formulas of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

CELL = (5.0, 7.0, 9.0, 90.0, 90.0, 90.0)
WAVELENGTH = 0.0251


def rotation(axis: str, degrees: float) -> np.ndarray:
    """The matrix written out, right-handed."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


def flat(relative):
    """A rotation: as much wherever the crossing is in the frame, less outside."""
    return np.clip(1.5 - np.abs(relative), 0.02, 1)


def two_humps(relative):
    """Precession: 1/√(1 - q²) within the range, smoothed, little outside."""
    q = np.abs(relative)
    return np.where(q < 1, 1 / np.sqrt(np.maximum(1 - q**2, 0.15)), 0.1)


def same(relative):
    """One intensity on all frames."""
    return np.ones_like(relative)


SHAPES = {"flat": flat, "two humps": two_humps, "same": same}


class Made:
    """A file, and what it should give."""

    def __init__(self, alpha, beta=0.0, omega=130.0, shape="same", semi=0.9, seed=3):
        rng = np.random.default_rng(seed)
        self.alpha = np.asarray(alpha, dtype=float)
        n = len(self.alpha)
        self.beta, self.omega = (np.broadcast_to(x, n).copy() for x in (beta, omega))
        turn = rotation("z", 20) @ rotation("x", 33) @ rotation("y", 47)
        self.ub = turn @ np.diag(1 / np.array(CELL[:3]))
        self.axes, lines = np.zeros((n, 3)), []
        grid = np.mgrid[-9:10, -12:13, -15:16].reshape(3, -1).T
        grid = grid[np.any(grid != 0, axis=1)]
        size = rng.exponential(1000, len(grid)) + 100
        k = 1 / WAVELENGTH
        for i, (a, b, o) in enumerate(zip(self.alpha, self.beta, self.omega)):
            setting = rotation("z", o) @ rotation("x", a) @ rotation("y", b) @ self.ub
            # uvw with S⁻ᵀ uvw along +z, that is Sᵀ z.
            self.axes[i] = setting.T @ [0, 0, 1]
            g = grid @ setting.T
            s = k - np.linalg.norm(g + [0, 0, -k], axis=1)
            length = np.linalg.norm(g, axis=1)
            q = s / (length * np.sin(np.radians(semi)))
            near = (np.abs(q) < 1.6) & (length < 1.5)
            values = size[near] * SHAPES[shape](q[near])
            for h, v in zip(grid[near], values):
                lines.append((*h, v, 5 + 0.02 * v, i + 1))
        self.lines = lines
        self.semi = semi

    def text(self, header="continuous rotation", leave=(), name="pets") -> str:
        """The file, without the columns named in leave."""
        head = [f"data_{name}"]
        names = ("length_a", "length_b", "length_c")
        names += ("angle_alpha", "angle_beta", "angle_gamma")
        head += [f"_cell_{a} {x:.4f}" for a, x in zip(names, CELL)]
        head += [f"_diffrn_radiation_wavelength {WAVELENGTH}"]
        head += [
            f"_diffrn_orient_matrix_UB_{i + 1}{j + 1} {self.ub[i, j]:.6f}"
            for i in range(3)
            for j in range(3)
        ]
        head += ["_diffrn_measurement_details", ";"]
        head += [f"data collection geometry: {header}", ";"]
        scaled = self.axes / np.abs(self.axes).max(axis=1, keepdims=True)
        frames = {"id": [str(i + 1) for i in range(len(self.alpha))]}
        for j, key in enumerate("uvw"):
            frames[key] = [f"{x:.5f}" for x in scaled[:, j]]
        frames["precession_angle"] = [f"{self.semi:.3f}"] * len(self.alpha)
        for key in ("alpha", "beta", "omega"):
            frames[key] = [f"{x:.3f}" for x in getattr(self, key)]
        frames["scale"] = ["1.000"] * len(self.alpha)
        reflections = {
            key: [f"{x:d}" for x in column]
            for key, column in zip(
                ("index_h", "index_k", "index_l"),
                np.array([line[:3] for line in self.lines], dtype=int).T.tolist(),
            )
        }
        reflections["intensity_meas"] = [f"{x[3]:.2f}" for x in self.lines]
        reflections["intensity_sigma"] = [f"{x[4]:.2f}" for x in self.lines]
        reflections["zone_axis_id"] = [f"{x[5]}" for x in self.lines]
        for prefix, columns in (
            ("_diffrn_zone_axis_", frames),
            ("_refln_", reflections),
        ):
            kept = {k: c for k, c in columns.items() if prefix + k not in leave}
            head += ["", "loop_", *(prefix + k for k in kept)]
            head += [" ".join(row) for row in zip(*kept.values())]
        text = "\n".join(head) + "\n"
        for key in leave:
            text = "\n".join(x for x in text.split("\n") if not x.startswith(key))
        return text


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A function that writes a file into the working folder, and gives what it made."""
    monkeypatch.chdir(tmp_path)

    def write(
        alpha, name="made.cif_pets", header="continuous rotation", leave=(), **kw
    ):
        made = Made(alpha, **kw)
        Path(name).write_text(made.text(header, leave), encoding="utf-8")
        return made

    return write
