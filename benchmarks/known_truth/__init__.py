"""
What dials.compare_images says against what is known: the parts of benchmarks/claims.py.

Modules:
    noise_free: observations without noise, from what dials.simulate_ed writes
    shares: what share of their variance is orientation and what thickness
    pools: crystals to draw data sets from
    columns: cases with a known truth
    planted: what is put into them beyond the noise of a measurement
    drawing: one data set and what is true of it
    code_sentences: every sentence and number that the programs can tell, from the code
    rules: what is claimed, and when that is right
    scoring: a run of the program, and counts over many
"""
