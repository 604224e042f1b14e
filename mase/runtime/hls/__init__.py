"""Hardware through hls4ml: a project with computed precisions, and its C++ compiled and run."""
