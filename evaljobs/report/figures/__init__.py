"""Figures: what is drawn of a run, as PNG and SVG, and the data of the charts that the page draws itself."""
