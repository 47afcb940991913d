"""What omni does for its users: one task a file. Tools own pages, windows, coordinates, evidence and formats."""
