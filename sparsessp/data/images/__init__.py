"""Users' images: TIFF, OME-TIFF, CZI and OME-Zarr, read plane by plane.

In contrast to the reader of the AllenCell collection, which accepts one kind of file only, this one accepts any pixel
type, time series, several scenes and files without a voxel size.
"""
