"""What ends a training that is not worth going on with, or says that it was ended early."""
