"""The papers' experiments, run anew: their rows as data, training and testing of each, their tables."""
