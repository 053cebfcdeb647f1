"""Command lines made from settings, and errors without a traceback."""

import argparse
import errno
import os
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
        f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`, which has seen enough; what is left must not be flushed at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit("interrupted")
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        sys.exit(f"error: {text}")


_HINTS = {
    errno.ENOSPC: "make room and run it again; what is finished is kept",
    errno.EDQUOT: "make room and run it again; what is finished is kept",
    errno.EFBIG: "the system limits the size of a file (ulimit -f); what is finished is kept",
    errno.EACCES: "give the right to it and run it again",
    errno.EPERM: "give the right to it and run it again",
    errno.EROFS: "choose a folder that can be written",
}


def explain(error: Exception) -> str | None:
    """Say what a user can do about an error, None if it is a fault of the program."""
    if isinstance(error, SparseSSPError):
        return str(error)
    # torch's own are RuntimeErrors, told by their text; this module must not import torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error):
        reason = (str(error).splitlines() or [""])[0]
        return f"out of memory{f' ({reason})' if reason else ''}; close other programs, or choose a smaller scale"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = _HINTS.get(error.errno or 0)
        return f"{where}{error.strerror or error}{f'; {hint}' if hint else ''}"
    return None
