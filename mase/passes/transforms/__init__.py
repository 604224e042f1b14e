"""Passes that change a graph: fold-batchnorm, remove-dropout, dce, cse, quantize, ..."""
