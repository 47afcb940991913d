"""`python -m omni_agent` is `omni`."""

from omni_agent.cli.main import main

main()
