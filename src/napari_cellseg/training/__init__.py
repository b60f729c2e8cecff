"""Training of the built-in network on labelled and rendered images."""
