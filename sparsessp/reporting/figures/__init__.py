"""The figures of the report, one file each: `draw(results)` draws the figure, `caption(results)` returns its caption.

matplotlib is first imported here, without MPLBACKEND: figures are only saved to files, so a backend that is not
installed must not stop a report.
"""

import os

_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib  # noqa: F401
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
