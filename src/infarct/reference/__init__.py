"""Reference standards: what another examination of the same patient says about tissue that a plain CT hardly shows."""
