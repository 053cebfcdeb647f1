"""The AllenCell label-free collection: from its archives to prepared volumes and their manifest.

`catalogue` says where the data is, `lists` which images and channels are wanted, `download` brings
the archives from their `sources`, `lock` holds them to their sums, `archive` and `images` read them,
`preparation` does what the paper does to the voxels, `conversion` makes a volume of an image, `store`
keeps it for later runs, `collecting` does so for whole archives, and `dataset` puts all of it together
as the `settings` say. `fingerprint` checks the result. Nothing here imports torch.
"""
