"""
What dials.compare_images says against what is known.

Modules:
    noise_free: observations without noise, from what dials.simulate_ed writes
    shares: what share of their variance is orientation and what thickness
"""
