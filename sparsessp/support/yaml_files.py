"""YAML files, read as YAML 1.2 without object tags, and data catalogues, which are settings in YAML."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BeforeValidator, Field

from sparsessp.config import Settings, abbreviate
from sparsessp.errors import SparseSSPError
from sparsessp.support.files import raise_system_error

AnySettings = TypeVar("AnySettings", bound=Settings)


def as_tuple(value: Any) -> Any:
    """Turn a list into a tuple: YAML has no tuples, and strict settings refuse a list in place of one."""
    return tuple(value) if isinstance(value, list) else value


Micrometres = Annotated[float, Field(gt=0)]
Vector = Annotated[tuple[Micrometres, Micrometres, Micrometres], BeforeValidator(as_tuple)]

# Plain scalars that are not strings in YAML 1.2: 1e-4 is a number; yes, 12:30 and 2024-01-31 are strings.
_PLAIN = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": (r"<<", "<"),
}
_RESOLVERS: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}
for _name, (_pattern, _first) in _PLAIN.items():
    for _character in _first:
        _found = (f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"))
        _RESOLVERS.setdefault(_character.replace("\0", ""), []).append(_found)
_READ_TAGS = {f"tag:yaml.org,2002:{name}" for name in (*_PLAIN, "str", "seq", "map")}


# The C loader, if PyYAML was built with it; a type checker cannot know this base class.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader; refuses a key that is listed twice."""

    yaml_implicit_resolvers = _RESOLVERS

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag not in _READ_TAGS:
            raise yaml.constructor.ConstructorError(None, None, f"the tag {node.tag!r} is not allowed", node.start_mark)
        return super().construct_object(node, deep=deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if isinstance(name, Hashable) and name in seen:
                mark = key.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} is listed twice", mark)
            seen |= {name} if isinstance(name, Hashable) else set()
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)  # 010 is ten


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; it quotes strings that `_Loader` would not read as strings."""

    yaml_implicit_resolvers = _RESOLVERS

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        SparseSSPError: The file is missing or not YAML.
        OSError: The file cannot be opened, for example because too many files are open.
    """
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise_system_error(error, path)
        raise SparseSSPError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise SparseSSPError(f"{path}: not valid YAML ({error})") from None


def parse_yaml(text: str, source: str) -> Any:
    """Return the content of a YAML text from `source`: plain values, never objects.

    Raises:
        SparseSSPError: It is not valid YAML, a key is listed twice, or a tag requests an object.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: such as `!!int x`
        message = " ".join(str(error).replace('"<unicode string>"', source).split())
        raise SparseSSPError(f"{source}: not valid YAML ({message})") from None


def dump_yaml(value: Any) -> str:
    """Return plain values as YAML text.

    Keys keep their order, each innermost collection is on one line, and non-ASCII characters are escaped.
    """
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=None, width=4096, sort_keys=False)


def read_catalogue(model: type[AnySettings], path: Path) -> AnySettings:
    """Read and validate a data catalogue.

    Raises:
        SparseSSPError: The file is missing or not YAML, or a key or value is not allowed; the message
            names the file, the key, the value and what is allowed.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise SparseSSPError(f"{path}: contains {abbreviate(values)}; expected keys: {', '.join(model.model_fields)}")
    return model.load(values, str(path), strict=True)
