"""Graphs as pictures: layout, style, and one writer for each kind of file."""
