"""How numbers, times and foreign text are written for people: one way each. Pure."""
