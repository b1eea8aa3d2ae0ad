"""What touches the machine: files, processes, devices, random numbers, clocks."""
