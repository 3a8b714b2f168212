"""SQL and rows: each repository speaks for one kind of thing, over a pool or a transaction alike."""
