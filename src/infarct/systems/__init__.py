"""The systems that read a prepared head; each answers with findings and maps, and touches no files."""
