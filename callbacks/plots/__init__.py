"""Pictures that callbacks and commands draw: spectrograms and the curves of learning-rate range tests."""
