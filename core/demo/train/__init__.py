"""How the demo models were trained: what each stage learns from, its loss, and what was measured.

`python -m core.demo.train --help` lists the stages.
"""
