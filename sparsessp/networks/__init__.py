"""Networks: a residual U-Net in four topologies, with six conditioning methods and three interpolations.

A network is assembled from parts that know little of each other:

    view -> interpolation -> encoder -> bridge per level -> decoder -> head -> interpolation -> prediction

    network.py          `Network`, which assembles the parts, and `build`
    method.py           what a task-conditioning method decides; one file each in methods/
    backbone.py         what a 2D backbone provides; one file each in backbones/
    blocks.py           residual block, shapes, small shared modules
    unet.py             levels and decoder; the U-Net's own encoder is backbones/native.py
    projection.py       bridges between 2D and 3D features
    interpolation.py    prefix, postfix or no interpolation along z
    convolution.py      convolutions with computed kernels
    dynamic_head.py     the head that DoDNet and TGNet share

To add a method, read `method.py` and write one file; to add a backbone, read `backbone.py` and write one file.
"""
