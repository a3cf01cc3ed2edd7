"""Where clips are made: one module per Google surface, all behind `base.Backend`."""
