"""YAML recipes and what every command shares: strict configuration, stages, atomic files.

The lowest room: it imports nothing of this project.
"""
