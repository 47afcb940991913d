"""Programs that use omni; each is run by a test."""
