"""The page of claims and commands as Markdown and JSON."""

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.committed import PAGE, TIMINGS
from pipeline.evidence.overrides import commands
from pipeline.evidence.rows import Row, Source

_INTRODUCTION = """\
# Claims and commands

<!-- Written by `python -m pipeline.evidence` from the committed results. Do not edit. -->

What produces each table, figure and claim of the committed results, what it costs, and how exactly it can be expected
again. [The same as JSON](evidence.json).

- **Commands**: run them in a clone, in this order; the report is then in `reports/`. *Selection* is one more override
  for `pipeline.compose`, which leaves out all other runs. Without one, all runs of the result are needed.
- **Minutes**: training time of the runs that are shown, on one worker, without preparing data and scoring. It is
  estimated from their counted multiply-accumulates, at {speed:.1f} minutes per 10¹², the mean speed of the results with
  recorded durations ({recorded}).
- **GB**: volumes, sparse views and models. DVC's cache holds a second copy, unless the file system can link.
- **Tolerance**: for R², the largest standard deviation over seeds; "one seed" states none. For a claim, its interval.
  Counts of operations are exact. [`python -m pipeline.verify`](verification.md) compares all numbers with the scores to
  0.0001, and `--rerun` compares new trainings with the seeds.
"""


def markdown(found: Mapping[str, tuple[Source, Sequence[Row]]], speed: float, outdated: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        found: Source and rows of each result, by its name.
        speed: Training time in minutes per 10^12 multiply-accumulates.
        outdated: Why the settings of other results are not valid for this code, by the name of the result.
    """
    recorded = ", ".join(name for name, (source, _) in found.items() if source.minutes is not None)
    parts = [_INTRODUCTION.format(speed=speed, recorded=recorded)]
    for name, (source, items) in found.items():
        parts.append(f"## {name}\n\n" + "\n".join(f"    {line}" for line in commands(source.overrides)))
        parts.append(_table(("", ""), ":-- :--", [(key, value) for key, value in facts(source).items()]))
        shown = [item for item in items if item.kind != "claim"]
        whole = [item for item in shown if item.runs == len(source.trained) and not item.override]
        parts.append(
            _rows([[item] for item in shown if item not in whole] + [whole], "Table or figure", "Tolerance of R²")
        )
        claims = [item for item in items if item.kind == "claim"]
        parts.append(_rows([[item] for item in claims if item.commands], "Claim", "Tolerance", verdicts=True))
        parts.append("Not run: " + "; ".join(item.item for item in claims if not item.commands) + ".")
    for name, reason in outdated.items():
        parts.append(f"## {name}\n\nRun it with the revision that it states; this code rejects its settings: {reason}")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def to_json(found: Mapping[str, tuple[Source, Sequence[Row]]], speed: float, outdated: Mapping[str, str]) -> str:
    """Return the same as JSON."""
    results = {
        name: {
            **facts(source, links=False),
            "commands": commands(source.overrides),
            "rows": [_rounded(item._asdict()) for item in items],
        }
        for name, (source, items) in found.items()
    }
    content = {"minutes_per_tmac": round(speed, 3), "results": results, "outdated": outdated}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def facts(source: Source, links: bool = True) -> dict[str, str]:
    """Return what a result is: data, scale, runs, machine, duration, revision, files."""
    result, stated = source.result, source.facts
    place = result.report.as_posix()
    unknown = f"not recorded in git; each run writes {TIMINGS}"
    training = unknown if source.minutes is None else f"{source.minutes:.0f} min, summed over all workers"
    found = {
        "data": stated.get("data", "not stated"),
        "scale": source.params.scale.name,
        "runs": f"{len(source.trained)} of {len(source.params.experiments)} planned, seeds {stated.get('seeds', '')}",
        "machine": stated.get("trained on", unknown),
        "training": training,
        "git revision": stated.get("git revision", "this checkout").strip("`"),
    }
    return found | {"report": _link(place + "/" + PAGE) if links else place}


def _rows(groups: Sequence[Sequence[Row]], title: str, tolerance: str, verdicts: bool = False) -> str:
    """Return a table with one line per group of rows that differ in title and file only."""
    lines = []
    for group in groups:
        first = group[0]
        amounts = (f"{first.minutes:.0f}", f"{first.gigabytes:.2f}") if first.minutes is not None else ("–", "–")
        lines.append(
            (
                ", ".join(_link(item.file, item.item) for item in group),
                *([first.verdict or ""] if verdicts else []),
                str(first.runs),
                *amounts,
                first.tolerance or "one seed",
                f"`{first.override}`" if first.override else "all" if first.runs else f"`{first.commands[0]}`",
            )
        )
    verdict = ["Verdict"] if verdicts else []
    header = (title, *verdict, "Runs", "Minutes", "GB", tolerance, "Selection")
    return _table(header, " ".join([":--", *([":--"] if verdict else []), "--:", "--:", "--:", ":--", ":--"]), lines)


def _table(header: tuple[str, ...], aligned: str, lines: Sequence[tuple[str, ...]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, tuple(aligned.split()), *lines))


def _link(path: str, text: str | None = None) -> str:
    return f"[{text or path}]({posixpath.relpath(path, 'docs')})"


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in values.items()}
