"""Models of other libraries in small random-weight configurations, and what a capture of each must keep."""
