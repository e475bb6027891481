"""Plots, figures and the self-contained HTML page that shows them."""
