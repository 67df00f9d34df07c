"""Words of the form that starts a run: labels, help texts, and why it may be away."""

# ruff: noqa: E501 (a help text is one string)

from __future__ import annotations

TITLE = "A run on your own data"
LEAD = "A folder and a model are enough. The folder is looked at first; nothing is computed before you have seen what was found and what it will cost."
AWAY = "Starting runs from here is off: other machines reach this server, and a run reads folders of this one. `retrieval-lens serve --new-runs` turns it on; `retrieval-lens new FOLDER --model NAME --run` does the same in a terminal."
FOLDER_HELP = "On the machine that serves this page: images with captions.jsonl, .csv or .tsv, images with NAME.txt beside NAME.jpg, parquet tables, or your own embeddings. What this server's user may read can be read, nothing is written there."
MODEL_HELP = "A known model, or type a hub id or the folder of a model. Weights that are not on this machine are fetched from the hub when the run begins. Leave it out for embeddings of your own."
SAE_HELP = "Where concepts come from. Left out: the SAE that is shipped with a demo model, none for others. `train` makes one of these items; it takes longest. You can type a folder, a .pt file or `hf:owner/name/file`."
LIMIT_HELP = "A first look at a large folder: at most this many queries. 0: all."
SPEC_HELP = "Every key of docs/running.md may stand here. It is checked as a spec file is."
AS_THE_MODEL_HAS_IT = "as the model has it"
LOOKING = "Looking at {name}, and measuring"
RUNNING = "Running {name}"
LEFT = "about {left} left at this stage"
CANCELLED = "{name} was cancelled. What is finished stays; it goes on from there."
FINISHED = "{name} is finished."
UNFINISHED = "Not finished"
UNFINISHED_HELP = "Runs that were started here and cancelled, or whose server ended. They go on from what is finished."
