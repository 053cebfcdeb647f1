"""Files, processes, devices and the command line: shared by all parts of the library."""
