"""The report: pure functions from (declared runs, results) to tables, figures and a page.

`report` writes it; the published numbers can be had without the figures' library.
"""
