"""Frame-wise features of audio: pitch, loudness and the statistics of spectra."""
