"""Methods and backbones by name: each is a file that defines exactly one subclass of its contract."""

import importlib
from inspect import isabstract
from typing import TypeVar

from sparsessp.errors import SparseSSPError

T = TypeVar("T")


def load_class(folder: str, name: str, base: type[T]) -> type[T]:
    """Return the class that `sparsessp/networks/<folder>/<name>.py` defines.

    Args:
        folder: `methods` or `backbones`.
        name: Name of the file, without `.py`.
        base: The contract. Abstract subclasses and imported classes do not count.

    Raises:
        SparseSSPError: The file defines no such class, or several.
    """
    module = importlib.import_module(f"sparsessp.networks.{folder}.{name}")
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not isabstract(value)
    ]
    if len(found) != 1:
        names = ", ".join(sorted(value.__name__ for value in found)) or "none"
        raise SparseSSPError(
            f"sparsessp/networks/{folder}/{name}.py: subclasses of {base.__name__} defined there: {names}; "
            "exactly one is needed"
        )
    return found[0]
