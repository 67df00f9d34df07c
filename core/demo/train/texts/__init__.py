"""The text the decoder learns before it sees a picture: documents about the demo world and beyond it."""
