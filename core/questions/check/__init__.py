"""Are these vectors the run's? If not, which setting explains the difference, and what does it cost?

`vectors.py` reads vectors from a folder; `endpoint.py` asks a server for them, in the words of `dialects.py`;
`given.py` is what came, and the sample of it. `conditions.py` names the settings, `values.py` the values that are
tried, `wording.py` the other ways to put an item; `encoding.py` embeds the sample so. `agreement.py` measures,
`search.py` searches by `trial.py`, `cost.py` says what it costs, `checking.py` does all of it in order; `result.py` is
the answer.
"""

from core.questions.check.checking import KEPT, SAMPLE, check, kept_checks
from core.questions.check.conditions import SETTINGS, WITHOUT_MODEL, Setting
from core.questions.check.dialects import DIALECTS, Dialect
from core.questions.check.endpoint import KEY, EndpointError, ask_endpoint
from core.questions.check.result import Checked
from core.questions.check.vectors import read_vectors

__all__ = [
    "DIALECTS",
    "KEPT",
    "KEY",
    "SAMPLE",
    "SETTINGS",
    "WITHOUT_MODEL",
    "Checked",
    "Dialect",
    "EndpointError",
    "Setting",
    "ask_endpoint",
    "check",
    "kept_checks",
    "read_vectors",
]
