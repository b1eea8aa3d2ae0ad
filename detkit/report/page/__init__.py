"""The report of a run as one HTML file: a section a file, from inputs to blocks, which the template draws."""
