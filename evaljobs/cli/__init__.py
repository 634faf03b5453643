"""The command line: parse, call, print, exit code. Nothing heavy is imported before a command needs it.

program                     the program: its commands, its exit codes, what an interruption says
running, tables             the commands
consoles                    where they print
"""

from evaljobs.cli.program import cli, main

__all__ = ["cli", "main"]
