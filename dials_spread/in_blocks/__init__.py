"""
Crystals in blocks that stay on the workers of a cluster: no process holds all observations.

A block is what one pair of files holds. What goes between blocks are sums by reflection,
scales of crystals, indices of images without their intensities, and pairs of images.

Modules:
    blocks: from files to blocks
    comparison: all of it, from names of files
    contrast: pairs of the same orientation against all other pairs
    entries: blocks on one scale, as rows of an incidence matrix
    factors: of images
    frame: what all blocks have in common
    matching: which pairs of images, of whichever blocks
    pair_tasks: pairs of images of two groups of blocks
    scales: of crystals
    size: how large the spread is
"""
