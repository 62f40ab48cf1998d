"""Lightning callbacks: what happens beside training, one file each."""
