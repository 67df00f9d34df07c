"""What the codes of a run say, as pure functions on sparse codes and dictionaries.

measures.py       energy, modality score, bridge, attribution (Eqs 3-6), overlaps (Eq 7), the concept table
modality_split.py text and image concepts (Eq 4), and what chance gives
labels.py         what a concept stands for: agreement with known attributes
fidelity.py       explained variance (pooled over dimensions), L0, dead share
stability.py      how far two dictionaries agree
directions.py     PCA, ICA and k-means directions in an SAE's contract
"""
