"""The models, widths and scales whose exports are compared with what was trained, number by number."""
