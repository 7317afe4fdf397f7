"""State stores, one file per engine."""
