"""The stages of a run on Ray Data: many processes, many GPUs, many machines; the same store, keys and numbers.

Ray is imported where it is used: `pip install 'retrieval-lens[scale]'`.
"""

from core.engine.cluster import Cluster, Session, connected

__all__ = ["Cluster", "Session", "connected"]
