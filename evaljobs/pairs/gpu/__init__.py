"""Verification on a GPU: the same rounds, with tiles, filter and scores on the device. Needs torch."""
