"""The report, from the results of the declared runs.

`results.load_results` reads everything, `report.write_report` writes everything. Each table is a file in `tables/`,
each figure one in `figures/`, with its caption; `document/` turns the pages into Markdown, HTML and LaTeX.
"""
