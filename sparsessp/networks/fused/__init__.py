"""Operations that a GPU runs as one kernel: norm with activation, and upsampling with the sum of a skip.

    choice.py       which version runs, and when a fused version is given up
    norm.py         group normalisation and (leaky) ReLU
    upsampling.py   linear upsampling and the sum of a skip
    kernels.py      Triton kernels of both; imported only where they run

Every fused operation has a version in plain torch, which CPUs use and against which it is tested.
"""
