"""How well two masks, a probability and a mask, or two methods agree: pure functions of arrays."""
