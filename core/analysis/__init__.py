"""The science of Retrieval Lens: pure functions on arrays. Knows nothing of models, files or screens.

arrays.py       blocks of rows, unit rows: the two helpers everything else uses
moments.py      mean, covariance and fourth moment of a stream of rows
whiten.py       moments -> frozen affine record (center, pca, zca, realign, auto, scale) -> apply
projections.py  the same for all-but-the-top, closing the modality gap, removing its direction
removal.py      the subspace of a set of concepts and its removal (Eqs 8-10), random controls
removal_fits.py how each removal step finds its subspace
transform.py    what a variant does to one side: edits, removal, L2 norm, affine map, L2 norm
fitdata.py      all that a variant may be fitted on
options.py      named options: what they may be, how they are read
statistics.py   whose rows a step is fitted on
steps.py        the registry: every step a variant may have, its options and how it is fitted
spec.py         the text form of a variant: parse, canonical order, print
variants.py     spec + data -> fitted variant; the gain split. THE module to import for variants
concepts.py     energy, modality score, bridge, attribution (Eqs 3-6), overlaps (Eq 7), the concept table
dictionaries.py PCA, ICA and k-means directions in an SAE's contract
fidelity.py     explained variance per dimension, L0, dead share
stability.py    how far two dictionaries agree
labels.py       what a concept stands for: agreement with known attributes
attribution.py  the contributions of every concept to one similarity, and to a margin
failures.py     the same for all failing queries of a run, summed up by concept
ranking.py      exact blocked top-k and ranks
corrections.py  scores corrected for hubs: CSLS, inverted softmax, QB-Norm
evaluation.py   recall, MRR, nDCG with bootstrap intervals; paired differences with tests
retrieval.py    ranking and evaluation as one import
geometry.py     modality gap, cosines, effective rank, hubness, alignment and uniformity
"""
