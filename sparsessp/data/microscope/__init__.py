"""The synthetic microscope: random cells imaged in brightfield and in fluorescence.

`scene` draws the cells, `optics` images them, `dataset` writes a named dataset of data/synthetic.yaml,
whose typed form is in `catalogue`.
"""
