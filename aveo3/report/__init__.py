"""What a run looks like: gallery, timeline and money, as a file (`aveo3 report`) and on the live page."""
