"""All figures, in the order of the page."""

from types import ModuleType

from sparsessp.reporting.document.model import Block, Figure, Paragraph
from sparsessp.reporting.figures import (
    claims,
    cost,
    figure4,
    figure5,
    figure6,
    montage,
    planes,
    schematic,
    spread,
    training,
    training_cost,
)
from sparsessp.reporting.figures.drawing import own_settings, render
from sparsessp.reporting.results import Results

FIGURES = (figure4, claims, montage, figure5, figure6, schematic, planes, cost, training_cost, training, spread)
_NOTHING = Paragraph("No figure: none of its runs has results.")


def file_name(figure: ModuleType) -> str:
    """Return the path of a figure's image, below the report's folder."""
    return f"figures/{figure.__name__.rpartition('.')[2]}.{figure.FORMAT}"


def images(results: Results) -> dict[str, bytes]:
    """Draw every figure that has results to show; return path -> content."""
    found = {}
    for figure in FIGURES:
        with own_settings():
            drawn = figure.draw(results)
            if drawn is not None:
                found[file_name(figure)] = render(drawn, figure.FORMAT)
    return found


def block(figure: ModuleType, results: Results, drawn: dict[str, bytes]) -> Block:
    """Return the figure with its caption, or a note that there is none."""
    name = file_name(figure)
    return Figure(name, figure.TITLE, figure.caption(results)) if name in drawn else _NOTHING
