"""Label files of other tools: readers and writers for each format, and one common form in between."""
