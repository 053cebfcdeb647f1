"""Environment variables: settings of the machine, not in params.yaml; they change results by rounding only."""

from typing import NamedTuple


class Variable(NamedTuple):
    """Meaning and default of an environment variable, in words."""

    meaning: str
    default: str


VARIABLES = {
    "SPARSESSP_DEVICE": Variable(
        "Device that trains, predicts and is profiled: cpu, cuda, cuda:1, ...", "cuda if available, else cpu"
    ),
    "SPARSESSP_RANKS": Variable("Number of processes that train one network together, each with a GPU", "1"),
    "SPARSESSP_SCRATCH": Variable("Folder of unfinished trainings and downloads", ".scratch of the workspace"),
    "SPARSESSP_DOWNLOADS": Variable("Number of AllenCell archives downloaded at the same time", "1"),
    "SPARSESSP_ARCHIVE_BASE": Variable(
        "URL or folder of the AllenCell archives; overrides archive_base", "the catalogue's"
    ),
    "SPARSESSP_LIST_BASE": Variable(
        "URL or folder of the AllenCell image lists; overrides list_base", "the catalogue's"
    ),
}


def epilog() -> str:
    """Return the end of a command's help text: every variable, its meaning and its default."""
    width = max(map(len, VARIABLES))
    lines = [f"  {name:{width}}  {meaning} (default: {default})" for name, (meaning, default) in VARIABLES.items()]
    return "\n".join(["environment variables (docs/environment.md):", *lines])
