"""Hostile and broken input for the command line; importing this package fills `CASES`."""

from hostile import folders, machine, models, specs, tables
from hostile.cases import CASES, Case

__all__ = ["CASES", "Case", "folders", "machine", "models", "specs", "tables"]
