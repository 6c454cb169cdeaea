"""The command ``tasksr``: one file for each command that is more than a call."""
