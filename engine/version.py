"""The library's version, and the PyTorch release whose interface it serves."""

__version__ = "0.1.0"
torch_version = "2.13.0"
cuda = None
hip = None
git_version = "unknown"
debug = False
