"""Every pair, counted exactly: no Ray, no images."""
