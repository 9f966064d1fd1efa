"""One machine, one command: everything Winrate needs as children of one process, started and stopped in order."""
