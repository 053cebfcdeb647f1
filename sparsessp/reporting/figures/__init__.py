"""The report's figures, one file each: `draw(results)` draws it, `caption(results)` says what a reader must know.

matplotlib is first imported here, without MPLBACKEND: figures are drawn to files, and a backend that this installation
lacks must not stop a report.
"""

import os

_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib  # noqa: F401
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
