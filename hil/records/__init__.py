"""Records: one MCAP file a case (blocks of rows, raw frames, events, verdicts and everything they mean); reading, recovery, export."""
