"""Things that continue a conversation of text, pictures, sound and video."""
