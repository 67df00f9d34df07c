"""The analysis is light and knows nothing of models."""

import subprocess
import sys
from pathlib import Path

import core.analysis


def test_no_module_of_the_analysis_imports_torch():
    folder = Path(core.analysis.__file__).parent
    names = [
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for path in folder.rglob("*.py")
        if path.parent != folder or path.stem != "__init__"
    ]
    code = (
        f"import sys, importlib; [importlib.import_module('core.analysis.' + n) for n in {names}];"
        " print(sorted(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "core.analysis.variants" in loaded
    for heavy in ("'torch'", "'transformers'", "'sae_lens'", "'streamlit'"):
        assert heavy not in loaded
