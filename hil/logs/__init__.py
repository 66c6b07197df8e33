"""CAN logs: every format in the wild, recognised by content, as columns of frames; and back."""
