"""Hardware estimates: look-up tables, DSP slices, block memories and cycles of a quantized graph."""
