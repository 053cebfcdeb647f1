"""Operations that a GPU runs in few kernels: norm and activation, upsampling and the sum of a skip, channel attention.

    choice.py       which version runs, and when a fused version is given up
    norm.py         group normalisation and (leaky) ReLU
    upsampling.py   linear upsampling and the sum of a skip
    gate.py         average of channels, and their product with weights
    kernels.py      Triton kernels of all; imported only where they run

Every fused operation has a version in plain torch, which CPUs use and against which it is tested.
"""
