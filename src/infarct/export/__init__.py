"""Phantom cohorts as files on disk."""
