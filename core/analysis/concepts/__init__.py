"""What the codes of a run say, as pure functions on sparse codes and dictionaries.

measures.py       energy, modality score, bridge, attribution (Eqs 3-6), overlaps (Eq 7), the concept table
contributions.py  what every concept adds to one similarity, and to a margin
failures.py       the same for all failing queries of a run, summed up by concept
labels.py         what a concept stands for: agreement with known attributes
fidelity.py       explained variance per dimension, L0, dead share
stability.py      how far two dictionaries agree
directions.py     PCA, ICA and k-means directions in an SAE's contract
"""
