"""The machine: files, processes, devices, random numbers, clocks."""
