"""A folder for PYTHONPATH in which ``torch`` is this library; see ``python -m engine run``."""
