"""From a story to a film."""
