"""Retrieval Lens: why multimodal LLMs retrieve badly, made visible. Importing it loads no torch."""

__version__ = "0.1.0"
