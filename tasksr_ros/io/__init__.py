"""Images and what describes them, from files and messages: read, decoded, drawn, written."""
