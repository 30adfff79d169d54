"""The stages of a run, each from what is known to what is known after it."""
