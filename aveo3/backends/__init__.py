"""Google's surfaces behind one protocol."""
