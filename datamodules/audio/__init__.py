"""Audio files in and out, and how loud audio is."""
