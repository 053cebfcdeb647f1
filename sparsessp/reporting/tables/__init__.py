"""The report's tables, one file each: `frame` returns the values for the CSV file, `table` the table for the page."""
