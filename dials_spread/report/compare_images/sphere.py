"""
One region of the sphere that stands for all, and its map.

The operators of the Laue group make many directions equivalent. Of each set the region
holds the one nearest to a chosen seed: a convex polygon of great circles (a Dirichlet
domain), such as the positive octant for orthorhombic crystals.

Functions:
    choose_region: for some operators
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dials_spread.symmetry import LaueOperators

SEED = np.array([1.0, 0.27, 0.6])
"""On no symmetry element, and inside the customary triangles: x > z > y for cubic, an
azimuth between 0 and 30° for hexagonal crystals."""


SHARP = 8.0
"""Turn of the edge [°] from one point to the next that makes a corner."""


@dataclass(frozen=True)
class Region:
    """
    A region of the sphere and an equal-area map of it.

    Attributes:
        directions: Shape (m, 3, 3), the operators on directions.
        seed: Shape (3,), unit vector: the region is what is nearest to it.
        axes: Shape (3, 3), unit vectors: right, up and the centre of the map.
    """

    directions: np.ndarray
    seed: np.ndarray
    axes: np.ndarray

    def reduce(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Bring directions into the region.

        Args:
            vectors: Shape (n, 3), unit vectors.

        Returns:
            Shape (n, 3), and the number of the operator used, shape (n,).
        """
        nearness = vectors @ np.einsum("mji,j->im", self.directions, self.seed)
        number = np.argmax(nearness, axis=1)
        return np.einsum("nij,nj->ni", self.directions[number], vectors), number

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """
        Map directions by Lambert's azimuthal equal-area projection.

        Args:
            vectors: Shape (n, 3), unit vectors.

        Returns:
            Shape (n, 2); a hemisphere about the centre has radius √2.
        """
        right, up, ahead = (vectors @ self.axes.T).T
        factor = np.sqrt(2 / np.maximum(1 + ahead, 1e-9))
        return np.stack([right * factor, up * factor], axis=1)

    def last_inside(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """
        Follow lines as far as they stay in the region.

        Args:
            start: Shape (n, 3), unit vectors inside.
            end: Shape (n, 3), unit vectors anywhere.

        Returns:
            Shape (n, 3), unit vectors: the ends, or where a line meets the edge.
        """
        seeds = np.einsum("mji,j->mi", self.directions, self.seed)
        inside, outside = np.zeros(len(start)), np.ones(len(start))
        for step in range(20):
            # The end itself first: most lines stay inside.
            part = outside if step == 0 else 0.5 * (inside + outside)
            at = start + part[:, None] * (end - start)
            kept = at @ self.seed >= (at @ seeds.T).max(axis=1) - 1e-9
            inside = np.where(kept, part, inside)
            outside = np.where(kept, outside, part)
        at = start + inside[:, None] * (end - start)
        return at / np.linalg.norm(at, axis=1, keepdims=True)

    def corners(self, n: int = 1441) -> np.ndarray:
        """
        Give the corners of the region's edge.

        Args:
            n: Points in which the edge is followed.

        Returns:
            Shape (m, 3), unit vectors; none where the edge is smooth.
        """
        edge = self.outline(n)[:-1]
        along = np.diff(self.project(edge), axis=0, append=self.project(edge[:1]))
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
        turn = np.sum(along * np.roll(along, 1, axis=0), axis=1)
        sharp = np.flatnonzero(turn < np.cos(np.radians(SHARP)))
        # A corner between two points of the edge turns it twice.
        first = [i for i in sharp if (i - 1) % len(edge) not in sharp]
        return edge[first]

    def outline(self, n: int = 361) -> np.ndarray:
        """
        Follow the region's edge.

        Args:
            n: Points.

        Returns:
            Shape (n, 3), unit vectors; the last one closes the edge.
        """
        turn = np.linspace(0, 2 * np.pi, n)
        right, up, centre = self.axes
        outwards = np.cos(turn)[:, None] * right + np.sin(turn)[:, None] * up
        # Inside every half-space v · (seed - G^T seed) ≥ 0; where does a ray leave it?
        normals = self.seed - np.einsum("mji,j->mi", self.directions, self.seed)
        normals = normals[np.linalg.norm(normals, axis=1) > 1e-9]
        leave = np.full(n, np.pi)
        for normal in normals:
            leave = np.minimum(leave, np.arctan2(normal @ centre, -(outwards @ normal)))
        return np.cos(leave)[:, None] * centre + np.sin(leave)[:, None] * outwards


def choose_region(operators: LaueOperators) -> Region:
    """
    Choose the region for the operators of a Laue group.

    Args:
        operators: The identity among them.

    Returns:
        The region, mapped about its middle with the direction c* upwards.
    """
    seed = SEED / np.linalg.norm(SEED)
    unmapped = Region(operators.on_directions, seed, np.eye(3))
    points = np.random.default_rng(0).normal(size=(4000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    middle = unmapped.reduce(points)[0].mean(axis=0)
    # The whole sphere, which has no middle, is mapped about the seed.
    centre = middle if np.linalg.norm(middle) > 0.1 else seed
    centre = centre / np.linalg.norm(centre)
    upwards = np.array([0.0, 0, 1]) if abs(centre[2]) < 0.95 else np.array([0, 1.0, 0])
    up = upwards - (upwards @ centre) * centre
    up /= np.linalg.norm(up)
    return Region(
        operators.on_directions, seed, np.array([np.cross(up, centre), up, centre])
    )
