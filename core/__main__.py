"""`python -m core` is `retrieval-lens`."""

from core.cli import main

main()
