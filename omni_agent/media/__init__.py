"""Files and devices as plain values: documents, pictures, sound, video, screens. One library a module."""
