"""
A network over the set of a reflection's observations, in place of the two models.

Modules:
    fit: training, with PyTorch
    inputs: features as the network takes them
    module: the network as a PyTorch module
    predict: corrected amplitudes, with numpy alone
    shapes: which arrays a network has
"""

from __future__ import annotations
