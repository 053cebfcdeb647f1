"""What every stage script shares: arguments from settings, errors without a traceback."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar, get_origin

from pydantic import BaseModel

from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError

ARTIFACTS = Path("artifacts")
CODE = ARTIFACTS / "code"
VOLUMES = ARTIFACTS / "volumes"
SPLIT = ARTIFACTS / "split.csv"
RUNS = ARTIFACTS / "runs"
RESULTS = ARTIFACTS / "results"
REPORTS = Path("reports")

AnySettings = TypeVar("AnySettings", bound=Settings)


def views(ratio: int) -> Path:
    """Folder of the sparse views at this ratio."""
    return ARTIFACTS / "views" / f"r{ratio}"


def baseline(ratio: int) -> str:
    """Name under which the linear baseline's scores are kept."""
    return f"linear-r{ratio}"


def parser(module: str, description: str | None, *models: type[BaseModel]) -> argparse.ArgumentParser:
    """Return a parser with one `--key` for each field of the models, explained by the field."""
    result = argparse.ArgumentParser(
        f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for model in models:
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"default {field.default}"
            many = {"nargs": "+"} if get_origin(field.annotation) in (tuple, list) else {}
            result.add_argument(f"--{name}", help=f"{field.description} ({default})", **many)  # type: ignore[arg-type]
    return result


def settings(model: type[AnySettings], options: argparse.Namespace) -> AnySettings:
    """Return the part of parsed arguments that `model` describes, checked."""
    given = {name: getattr(options, name) for name in model.model_fields}
    return model.load({name: value for name, value in given.items() if value is not None}, "arguments")


def main(run: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run a script; an error that a user can mend ends it with one message and no traceback."""
    try:
        run(arguments)
    except SparseSSPError as error:
        sys.exit(f"error: {error}")
