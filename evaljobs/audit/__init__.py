"""What a set of images gives away beside what they show: leaks, duplicates, labels that are likely wrong."""
