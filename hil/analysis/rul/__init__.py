"""Remaining useful life: from capacity curves of early life, and from the fade of capacity over cycles."""
