"""The command line: one module for each command, with click.

A command imports its libraries when it runs, so that ``--help`` and the completion are quick.
"""

NAME = "furniture-events-server"
"""The program's name, if it is installed."""
