"""Records: one MCAP file a case (blocks of rows, raw frames, events, verdicts, what they mean); reading, recovery."""
