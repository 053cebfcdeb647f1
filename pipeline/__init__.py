"""The DVC pipeline: one thin script per stage. No other package knows DVC or its paths."""

import sys
from importlib.util import find_spec

# Every command and stage imports this module first, so that a missing package gives one line and no traceback.
_NEEDED = ("numpy", "pandas", "pydantic", "psutil", "torch", "tqdm", "yaml")
if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    sys.exit(
        f"error: {sys.executable} lacks required packages ({', '.join(_missing)}); activate the environment that "
        "`make demo` creates: `. .venv/bin/activate`"
    )
