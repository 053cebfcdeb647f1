"""The AllenCell label-free collection, from its archives to prepared volumes and their manifest.

* `catalogue`, `settings`: where the data are, and the user's choices.
* `sources`, `download`, `partial_file`, `http_answers`, `lock`: downloading archives and verifying their checksums.
* `lists`: which channels of which images are needed.
* `archive`: reading archives.
* `images`, `czi_files`, `tiff_files`, `recording`: reading microscope images.
* `preparation`, `conversion`, `store`: from an image to a prepared volume, kept for later runs.
* `collecting`, `dataset`: whole archives, and the whole collection.
* `fingerprint`: a check of the prepared volumes against the paper.

Nothing here imports torch.
"""
