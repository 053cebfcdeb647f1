"""Catalogues: settings that are kept in a YAML file, and are part of the data."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sparsessp.config import Settings, shown
from sparsessp.errors import SparseSSPError

AnySettings = TypeVar("AnySettings", bound=Settings)


def as_tuple(value: Any) -> Any:
    """Turn a list into a tuple; YAML knows no tuples, and strict settings take no list for one."""
    return tuple(value) if isinstance(value, list) else value


Micrometres = Annotated[float, Field(gt=0)]
Vector = Annotated[tuple[Micrometres, Micrometres, Micrometres], BeforeValidator(as_tuple)]


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        SparseSSPError: The file is missing or no YAML.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SparseSSPError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise SparseSSPError(f"{path}: no valid YAML ({error})") from None


def parse_yaml(text: str, source: str) -> Any:
    """Return what a YAML text from `source` holds: plain values, never objects that a tag asks for.

    Raises:
        SparseSSPError: It is no YAML.
    """
    try:
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: such as a date with a 13th month
        raise SparseSSPError(f"{source}: no valid YAML ({' '.join(str(error).split())})") from None


def read_catalogue(model: type[AnySettings], path: Path) -> AnySettings:
    """Read and check a catalogue.

    Raises:
        SparseSSPError: The file is missing or no YAML, or a key or value is not allowed; the message
            names the file, the key, the value and what is allowed.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise SparseSSPError(f"{path}: holds {shown(values)}; expected keys: {', '.join(model.model_fields)}")
    return model.load(values, str(path), strict=True)
