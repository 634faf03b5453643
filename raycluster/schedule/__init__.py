"""Runs that come back: when they are due, which of them may start, and what becomes of them.

records     what is kept: schedules, runs, attempts
cron        when a schedule is due
deciding/   what comes next, given what is kept, the time, and what the cluster says: pure
database    where it is kept: SQLite, whole or not at all
book        how it changes: each change one transaction
outside     clusters, programs and clocks, as the daemon meets them
hands       what is done to the outside: clusters, programs, files, webhooks
baselines   copies of the last good results
daemon      decide, do, write down, again
adding      what people ask for: schedules, quotas, runs at once
"""
