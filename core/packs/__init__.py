"""A run as one file: written (`pack.py`), and taken into another cache, trusting nothing (`unpack.py`)."""
