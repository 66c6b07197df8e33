"""CAN logs and recordings played back: onto a bus, into the engine, against expectations or a golden file."""
