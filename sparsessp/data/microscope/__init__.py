"""The synthetic microscope: random cells seen in brightfield and in fluorescence.

`scene` draws the cells, `optics` takes their pictures, `dataset` writes a named data set of
data/synthetic.yaml, whose typed form is in `catalogue`.
"""
