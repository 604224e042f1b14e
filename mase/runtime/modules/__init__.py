"""Trainable modules of the ops that torch has none for."""
