"""Pages as data: `model` holds sections, tables of typed cells and figures; each writer turns a document into text."""
