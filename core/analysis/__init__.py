"""The science of Retrieval Lens: pure functions on arrays. Knows nothing of models, files or screens.

In this order; each imports only from those before it:

arrays.py      blocks of rows, unit rows: the two helpers everything else uses
subspaces.py   the subspace of a set of directions, and its removal (Eqs 8-10)
concepts/      what codes say: measures (Eqs 3-7), labels, fidelity, other dictionaries, their agreement
variants/      chains of fitted transforms: their text form, how each step is fitted, how they are applied
retrieval/     exact ranking, metrics with intervals and tests, corrections for hubs, geometry, mediation,
               and how well a dictionary's reconstructions retrieve
explanations/  why a candidate ranks where it does: what each concept contributes to a similarity or a margin
"""
