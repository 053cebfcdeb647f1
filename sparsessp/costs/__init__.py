"""Costs of a network: counted (`counted.py`) and measured on this machine (`measured.py`)."""
