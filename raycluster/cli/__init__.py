"""The command line: parse, call, print, exit code. Nothing heavy is imported before a command needs it.

program                     the program: its commands, its exit codes, what an interruption says
options                     what several commands take
jobs                        submit, jobs, logs, stop
clusters, manifests         up, down, status; manifest
schedules, scheduler        schedule add, ls, rm, run-now, history, accept, fetch, quota; the daemon
"""

from raycluster.cli.program import cli, main

__all__ = ["cli", "main"]
