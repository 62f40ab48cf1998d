"""What everything stands on and what knows nothing of music: errors, files, processes, threads, hashes."""
