"""The benchmarks of `retrieval-lens bench`, one file each. Holds no code of its own.

apart.py     each side in a process of its own
encoding.py  batched encoding against a plain loop
corpus.py    a large corpus, made and opened
profile.py   where the time of encoding goes
sae.py       SAE training and codes beside plain ways, and beside the rate of a model's states
shapes.py    a model of true shapes with random weights: memory as estimated
search.py    whitening and search against plain torch
measures.py  the measures of concepts against the dense way
large_run.py a large run of own embeddings (its corpus: world.py), stage by stage
dashboard.py pages of that run in a real browser (browser.py)
show.py      what the last two print
map.py       frames of the map in a real browser
"""
