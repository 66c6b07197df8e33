"""The far side of the record: export, summaries, reports. May be slow, never in a tick."""
