"""Scripts of the documentation site, which are not in a package."""

import importlib.util
from functools import cache

from helpers.checkout import ROOT


@cache
def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs/site_tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
