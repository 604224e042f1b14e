"""Passes that run the graph: train and eval."""
