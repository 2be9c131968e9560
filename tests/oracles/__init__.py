"""Slow, obviously right versions of what the library computes fast."""
