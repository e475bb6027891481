"""
A network over the set of a reflection's observations, in place of the two models.

Modules:
    inputs: features as the network takes them
    shapes: which arrays a network has
    predict: corrected amplitudes, with numpy alone
    fit: training, with PyTorch
"""
