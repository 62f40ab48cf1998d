"""The architectures, a package each, and the contract they fulfil (`transfer_module`)."""
