"""
Where the training of the general model was; it is now dials_spread.general_model.

Modules:
    train: says so, and goes on to where it is
"""

from __future__ import annotations
