"""Who reaches an address that a server listens on. Knows nothing of Streamlit and nothing of requests."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str | None) -> bool:
    """Whether only this machine reaches a server that listens there; None is every address."""
    if address == "localhost":
        return True
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
