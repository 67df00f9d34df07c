"""How the demo models were trained: the stages in order, what they read, what was measured. `python -m core.demo.train
--help`."""
