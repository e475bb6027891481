"""The commands: one module each, registered in setup.py."""
