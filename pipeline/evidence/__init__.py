"""The page of claims and commands: what produces every table, figure and claim of the committed results."""
