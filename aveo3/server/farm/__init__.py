"""Several processes, perhaps on several machines, with one journal and one quota."""
