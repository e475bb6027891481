"""Electron-diffraction data with a known truth, to test analysis against."""
