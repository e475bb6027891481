"""
The images that share most indices with each image, exactly.

Modules:
    bounds: what two images can share at most
    counter: over an inverted index, without geometry
    finder: the entry point, find_partners
    grid: beam directions by place on the sphere
    search: outwards in angle, skipping what cannot be better
    tally: from counts to lists of partners
"""

from __future__ import annotations

from dials_spread.partners.finder import ImageDirections, Partners, find_partners

__all__ = ["ImageDirections", "Partners", "find_partners"]
