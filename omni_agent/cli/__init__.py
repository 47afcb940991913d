"""The command `omni`: one file a command."""
