"""How a command line and YAML files become a model, data and a trainer."""
