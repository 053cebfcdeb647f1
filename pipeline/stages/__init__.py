"""The stages of dvc.yaml, one script each."""

import gc
import sys

# `python -m` imports this package before the stage itself, with "-m" as sys.argv[0]. Importing torch creates hundreds
# of thousands of objects that stay; looking for garbage among them takes .3 s. `running.main` turns collection on.
if sys.argv[0] == "-m":
    gc.disable()
