"""Why a candidate ranks where it does: similarities and margins taken apart into what each concept contributes.

contributions.py  one similarity, and the margin between two candidates
failures.py       the margins of all failing queries of a run, summed up by concept
"""
