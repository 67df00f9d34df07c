"""Visitors at once, in short: no page fails, and the figures are of what they say."""

from __future__ import annotations

import pytest

from core.store import Store
from tests.torture import visitors


@pytest.mark.timeout(900)
def test_a_few_visitors_see_every_page(small_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "PAGES", ("", "modality", "runs"))
    measured = visitors.measure(3, 0.25, curves=False)
    assert measured.failed == []
    assert measured.pages >= 3
    assert 0 < measured.p50 <= measured.p95
    assert measured.mib_after_first_minute > 100
    assert measured.mib_at_end < 1.5 * measured.mib_after_first_minute
