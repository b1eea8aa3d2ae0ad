"""Label files of other tools: a reader and a writer for each format, and one plain form between them."""
