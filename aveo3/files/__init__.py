"""A video safely to disk: part files, downloads, checks."""
