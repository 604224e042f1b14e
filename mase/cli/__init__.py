"""Command lines. They parse, call the passes and render; nothing is decided here."""
