"""The tools in other people's frameworks."""
