"""The report on the results of the planned runs.

`results.load_results` reads the results, `report.write_report` writes the report. Each table has a file in `tables/`,
each figure with its caption one in `figures/`; `document/` renders the pages as Markdown, HTML and LaTeX.
"""
