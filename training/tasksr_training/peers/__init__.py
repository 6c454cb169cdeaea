"""Networks that others published, to compare ours with; one per file, its paper named there."""
