"""The kernel library: which hand-written kernel computes a problem, with which parameters."""
