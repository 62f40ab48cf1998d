"""Where instruments get their sound: SoundFonts and folders of recorded notes."""
