"""Command-line options generated from settings, and error messages without a traceback."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar, get_origin

from pydantic import BaseModel

from sparsessp.config import Settings
from sparsessp.errors import SparseSSPError

AnySettings = TypeVar("AnySettings", bound=Settings)


def add_settings(parser: argparse.ArgumentParser, *models: type[BaseModel]) -> None:
    """Add one option `--key` for each field of the models, with the field's description as its help."""
    for model in models:
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else f"default {field.default}"
            text = f"{field.description} ({default})"
            if field.annotation is bool:
                parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, help=text)
                continue
            many = {"nargs": "+"} if get_origin(field.annotation) in (tuple, list) else {}
            # The type of the dictionary is wider than that of each argparse argument.
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
    """Return the parsed arguments that belong to `model`, validated."""
    given = {name: getattr(options, name) for name in model.model_fields}
    return model.load({name: value for name, value in given.items() if value is not None}, "arguments")


def main(run: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> None:
    """Run a script; an error that a user can fix ends it with a message and no traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the terminal lacks, such as the ² of R², must not fail
        sys.stdout.reconfigure(errors="replace")
    try:
        run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # for example `| head` closed the pipe; the rest must not be flushed at exit
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
    errno.ENOSPC: "free some space and run it again; finished work is kept",
    errno.EDQUOT: "free some space and run it again; finished work is kept",
    errno.EFBIG: "the system limits the size of a file (ulimit -f); finished work is kept",
    errno.EACCES: "grant the permission and run it again",
    errno.EPERM: "grant the permission and run it again",
    errno.EROFS: "choose a writable folder",
    errno.EMFILE: "raise the limit of open files (ulimit -n) and run it again",
    errno.ENFILE: "the whole system has too many open files; close other programs and run it again",
}


def explain(error: Exception) -> str | None:
    """Return what a user can do about an error, or None if it is a bug."""
    if isinstance(error, SparseSSPError):
        return str(error)
    # torch raises RuntimeErrors, recognised by their text; this module must not import torch.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error):
        reason = (str(error).splitlines() or [""])[0]
        return f"out of memory{f' ({reason})' if reason else ''}; close other programs, or choose a smaller scale"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hint = _HINTS.get(error.errno or 0)
        return f"{where}{error.strerror or error}{f'; {hint}' if hint else ''}"
    return None
