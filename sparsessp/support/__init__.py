"""Files, processes, devices and the command line: what every part of the library may use."""
