"""The command line: one module for each command, with click.

A command imports its libraries when it runs, so that ``--help`` and the completion are quick.
"""
