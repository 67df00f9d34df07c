"""The dashboard as a server: the frame of the pages behind the guard.

`retrieval-lens serve` starts it, and so does `streamlit run dashboard/app.py`; both are guarded alike.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import warming
from dashboard.addresses import is_loopback
from dashboard.data.served import ROUTES
from dashboard.guard import Guard, link

FRAME = Path(__file__).with_name("frame.py")
TOKEN = "RETRIEVAL_LENS_TOKEN"  # noqa: S105
"""Environment variable with a token of the user's own; "off": none is needed, whoever reaches the address."""
OPEN = "No token: whoever reaches this address sees everything in the cache.\n"


def served() -> Middleware:
    """The guard for the address that Streamlit was told to listen on; says how to get in."""
    host, port = st.get_option("server.address"), st.get_option("server.port")
    given, private = os.environ.get(TOKEN), is_loopback(host)
    token = None if given == "off" else given or (None if private else secrets.token_urlsafe(24))
    sys.stderr.write(f"\nRetrieval Lens: {link(host, port, token)}   (Ctrl-C stops it)\n")
    sys.stderr.write(OPEN if token is None and not private else "")
    sys.stderr.write("\n")
    sys.stderr.flush()
    return Middleware(Guard, token=token, names=st.get_option("server.allowedHosts"))


warming.begin()
app = st.App(FRAME, routes=ROUTES, middleware=[served()])
