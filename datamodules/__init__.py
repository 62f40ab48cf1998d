"""Corpora in, batches out. Import from the submodules: this package stays light to import."""
