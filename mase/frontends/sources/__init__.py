"""The kinds of model sources, one a file."""
