"""Pictures that callbacks and commands draw: spectrograms and curves."""
