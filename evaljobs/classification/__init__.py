"""Classification: accuracy, precision and recall, confusion and calibration from class scores; plain arrays, no Ray."""
