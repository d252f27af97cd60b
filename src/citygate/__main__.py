"""`python -m citygate`: the same as the command `citygate`."""

from citygate.cli.main import main

main()
