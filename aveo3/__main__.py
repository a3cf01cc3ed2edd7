"""`python -m aveo3`: the command line, where no script is on the path."""

from aveo3.cli import app

app(prog_name="python -m aveo3")
