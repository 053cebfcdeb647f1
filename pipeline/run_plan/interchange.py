"""Parsl's interchange, the process between the runner and its workers, made to end with the runner even after SIGKILL.

The runner starts it with `python -m pipeline.run_plan.interchange`.
"""

import runpy

from sparsessp.support.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
