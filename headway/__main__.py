"""``python -m headway`` is the same door."""

from headway.cli import main

main()
