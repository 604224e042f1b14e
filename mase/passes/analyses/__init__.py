"""Passes that learn something about a graph and change no number: profile, cost, report, plot, ..."""
