"""`python -m core` is `retrieval-lens`."""

from core.commands.cli import main

main()
