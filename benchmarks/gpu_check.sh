#!/usr/bin/env bash
# On a machine with a GPU: run the tests that need one, then the benchmark at the paper's size.
# Stops after six minutes. Needs an environment with this project and pytest; prints everything it finds.
set -uo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=4
python -c "import torch; assert torch.cuda.is_available(), 'torch finds no GPU'" || exit 1
failed=0
timeout 80 python -m pytest -q -p no:cacheprovider tests/test_fused.py -k "not compile_for" || failed=1
timeout 70 python -m pytest -q -p no:cacheprovider -m gpu tests/test_graphs.py tests/test_training.py tests/test_ranks.py ||
    failed=1
timeout 200 python -m benchmarks --size paper --only train-dodnet train-tgnet train-repmode train-repmode-3to2d \
    train-dodnet-2d predict-dodnet predict-tgnet predict-repmode predict-repmode-3to2d predict-dodnet-2d predict-twelve \
    validate training || failed=1
exit $failed
