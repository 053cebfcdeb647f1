"""Print the plan without running it: trainings, iterations, estimated hours and disk space.

The hours are estimated from the speed of each network, which is measured on the default device (SPARSESSP_DEVICE):
on CUDA with the batches and volumes of the plan, on a CPU with one small crop, scaled by the number of voxels.

Examples:
  python -m pipeline.plan --scale paper --data allencell
  python -m pipeline.plan --scale bench ratio=8 'methods=[tgnet,dodnet]' --json
  python -m pipeline.plan --no-measure
  python -m pipeline.plan --data folder data.csv=images/images.csv --no-measure
"""

import json
import sys
from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from pipeline.commands import command
from pipeline.plan.composing import compose
from pipeline.plan.estimate import Amount, amount, disk, grouped, network_settings, runs, summary
from pipeline.plan.params import Params, parse_params
from sparsessp.costs.measured import step_seconds, volume_seconds
from sparsessp.support.command_line import main
from sparsessp.support.device import default_device

_CPU_ROWS = 32  # rows and columns of the crop that a CPU is measured with


def measure(params: Params, device: torch.device) -> dict[str, float]:
    """Return the seconds of an iteration of each run."""
    training = params.scale.training
    rows, batch, repeats = training.patch, training.batch, 5
    if device.type != "cuda":
        rows, batch, repeats = min(rows, _CPU_ROWS), 1, 1
    step = training.model_copy(update={"batch": batch, "patch": rows})
    factor = training.batch * training.patch**2 / (batch * rows**2)
    found = {}
    for name, run in tqdm(params.experiments.items(), "measure", unit="network"):
        found[name] = factor * step_seconds(network_settings(params, run), step, repeats)
    return found


def measure_volumes(params: Params, data: Amount) -> dict[str, float]:
    """Return the seconds that each run needs to predict and score a volume."""
    inference = params.scale.inference
    runs_of = tqdm(params.experiments.items(), "measure volumes", unit="network")
    return {name: volume_seconds(network_settings(params, run), inference, data.shape) for name, run in runs_of}


def text(facts: dict[str, Any], table: pd.DataFrame) -> str:
    """Return the plan as text."""
    volumes, training, budget = facts["volumes"], facts["training"], facts["budget"]
    amounts = ", ".join(f"{key.removeprefix('topology_')} {n}" for key, n in budget["amount"].items())
    lines = [
        f"data      {facts['data']}, {len(facts['structures'])} structures: {volumes['train']} training, "
        f"{volumes['validation']} validation, {volumes['test']} test volumes",
        f"scale     {facts['scale']}: {budget['unit']} {amounts}",
        f"training  patch {' x '.join(map(str, facts['patch']))}, batch {training['batch']}, "
        f"Adam {training['learning_rate']:g}, {training['schedule']}",
        "",
    ]
    headers = {
        "method": "method",
        "topology": "topology",
        "runs": "runs",
        "networks": "networks each",
        "iterations": "iterations each",
        "total": "iterations",
        "seconds": "s/iteration",
        "hours": "hours",
    }
    shown = table[[column for column in headers if column in table]].rename(columns=headers)
    formats = {"s/iteration": "{:.3g}".format, "hours": "{:,.1f}".format}
    formats |= dict.fromkeys(("iterations each", "iterations"), "{:,}".format)
    lines.append(shown.to_string(index=False, formatters=formats))
    lines.append("")
    hours = ""
    if "hours" in facts:
        share = table["predicting"].sum() / facts["hours"]
        hours = f", {facts['hours']:,.1f} hours, of which {share:.1%} for validation and evaluation"
    lines.append(f"total     {facts['runs']} runs, {facts['iterations']:,} iterations{hours}")
    if "measured" in facts:
        lines.append(f"          {facts['measured']}")
    lines += ["", *(f"disk      {what}: {size / 1e9:,.2f} GB" for what, size in facts["disk"].items())]
    return "\n".join(lines)


def run(arguments: Sequence[str]) -> None:
    """Compose, estimate, print."""
    parser = command("plan", __doc__)
    parser.add_argument("--scale", help="scale, such as paper")
    parser.add_argument("--data", help="dataset: synthetic, allencell or folder")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="Hydra override, such as ratio=8")
    parser.add_argument("--no-measure", action="store_true", help="skip the measurement; hours are left out")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_intermixed_args(arguments)
    overrides = [f"{key}={getattr(options, key)}" for key in ("scale", "data") if getattr(options, key)]
    params = parse_params(compose([*overrides, *options.overrides]), "the composed parameters")
    data = amount(params)
    planned = runs(params, data)
    device = default_device()
    if device.type == "cpu":
        torch.set_num_threads(1)  # as the workers of run_plan; several threads are no faster at these sizes
    seconds = None if options.no_measure else measure(params, device)
    per_volume = measure_volumes(params, data) if seconds and device.type == "cuda" else None
    table = grouped(planned, seconds, per_volume)
    facts = {
        **summary(params, data),
        "runs": len(planned),
        "iterations": int(planned["iterations"].sum()),
        "disk": disk(params, data, planned),
    }
    if seconds is not None:
        on = (
            torch.cuda.get_device_name(device)
            if device.type == "cuda"
            else "one thread of this CPU, a rough guide only"
        )
        predicting = "measured too" if per_volume else "estimated: a voxel is taken to cost a third of one of training"
        facts |= {
            "hours": float(table["hours"].sum()),
            "measured": f"at the speed of each network on {on}; validation and evaluation are {predicting}",
        }
    if options.json:
        print(json.dumps({**facts, "groups": table.to_dict("records")}, indent=1))
    else:
        print(text(facts, table))


if __name__ == "__main__":
    main(run, sys.argv[1:])
