"""Pages as data: `model` defines sections, tables of typed cells and figures; the writers turn them into text."""
