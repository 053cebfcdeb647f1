"""The report's tables, one file each: `frame` gives the numbers of the CSV file, `table` the page's table of them."""
