"""Super-resolution for a detector that stays as it is, learnt from recordings without labels."""
