"""Before a run: what a folder holds, the spec for it, and what it will cost.

`survey.py` looks at a folder, `rates.py` and `cost.py` say what a spec will take, `plan.py` puts them together and
writes the spec file, and `unfinished.py` keeps the specs of runs that a page has started.
"""
