"""The progress of a run as people watch it: a panel in a terminal, a block in a notebook, lines in a log."""
