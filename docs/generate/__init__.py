"""Write the generated parts of README.md and docs/: `make docs`, or `python -m docs.generate [--check]`.

A generated part stands between two marks in a page. Everything outside the marks is written by hand.
"""
