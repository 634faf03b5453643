"""What comes next: pure decisions, without clocks, databases, clusters or threads.

catching_up   which due times become runs
admission     which runs get slots, and which are stopped for others
ending        what follows from the end of a job, or of its judging
plan          all of it together
"""
