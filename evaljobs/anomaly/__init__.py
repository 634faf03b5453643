"""Anomalies: how unlike normal images an image is, and how well that tells anomalous images from normal ones.

rotations    scores of models that tell rotations apart
probability  the same probabilities to the last bit, on any machine
labels       which labels are normal
detection    operating points, AUROC and their intervals (the public `detect_anomalies`)
groups       what is left out for the intervals
neighbours   distance to normal images
tables       what stands beside a result
concluding   a result and its tables, of whatever scores
"""
