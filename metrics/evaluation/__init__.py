"""The one evaluation of every test: examples, the suite, tables and the joint score."""
