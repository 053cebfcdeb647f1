"""The DVC pipeline: one thin script per stage. Nothing else in the project knows DVC or its paths."""

import sys
from importlib.util import find_spec

# Every command and stage passes here first, before an import can fail with a traceback.
_NEEDED = ("numpy", "pandas", "pydantic", "psutil", "torch", "tqdm", "yaml")
if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    sys.exit(
        f"error: {sys.executable} lacks packages of this project ({', '.join(_missing)}); activate its environment, "
        "`. .venv/bin/activate`, which `make demo` creates"
    )
