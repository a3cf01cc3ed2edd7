"""Every job in SQLite, safe against `kill -9` and power cuts."""
