"""The science of Retrieval Lens: pure functions on arrays. Knows nothing of models, files or screens.

arrays.py   blocks of rows, unit rows: the two helpers everything else uses
variants/   chains of fitted transforms: their text form, how each step is fitted, how they are applied
concepts/   what codes say: measures (Eqs 3-7), contributions to a similarity, labels, fidelity, other dictionaries
retrieval/  exact ranking, metrics with intervals and tests, corrections for hubs, geometry
"""
