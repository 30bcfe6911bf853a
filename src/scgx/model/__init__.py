"""Models that are set up, trained and saved, on scvi-tools. Loaded on first use: torch and scvi are slow to load."""

from scgx.model._transplatformer import TransPlatformer

__all__ = ["TransPlatformer"]
