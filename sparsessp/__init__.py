"""SparseSSP: dense 3D fluorescence of subcellular structures from a few transmitted-light slices."""

__version__ = "0.1.0"
