"""What the cache survives, measured: kills at any moment, a flipped bit in any file, disks of any size, many visitors.

`make torture` runs all of it (`python -m tests.torture`) and prints the table that docs/reliability.md holds.
"""
