"""Command lines made from settings, and errors without a traceback."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar, get_origin

from pydantic import BaseModel

from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError

AnySettings = TypeVar("AnySettings", bound=Settings)


def add_settings(parser: argparse.ArgumentParser, *models: type[BaseModel]) -> None:
    """Give the parser one `--key` for each field of the models, explained by the field."""
    for model in models:
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"default {field.default}"
            text = f"{field.description} ({default})"
            if field.annotation is bool:
                parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=text)
                continue
            many = {"nargs": "+"} if get_origin(field.annotation) in (tuple, list) else {}
            parser.add_argument(f"--{name}", metavar=name.upper(), help=text, **many)  # type: ignore[arg-type]


def parser(module: str, description: str | None, *models: type[BaseModel]) -> argparse.ArgumentParser:
    """Return a parser for `python -m module` with the fields of the models as options."""
    result = argparse.ArgumentParser(
        f"python -m {module}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_settings(result, *models)
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
