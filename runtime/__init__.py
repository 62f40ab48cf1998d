"""What all of the suite stands on and what knows nothing of music: errors, files, processes, hashes."""
