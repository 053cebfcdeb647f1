"""The AllenCell label-free collection: from its archives to prepared volumes and their manifest.

* `catalogue`, `settings`: where the data are, and the user's choices.
* `sources`, `download`, `lock`: fetching archives and verifying their checksums.
* `lists`: which channels of which images are needed.
* `archive`, `images`: reading archives and microscope images.
* `preparation`, `conversion`, `store`: from an image to a prepared volume, kept for later runs.
* `collecting`, `dataset`: whole archives, and the whole collection.
* `fingerprint`: a check of the prepared volumes against the paper.

Nothing here imports torch.
"""
