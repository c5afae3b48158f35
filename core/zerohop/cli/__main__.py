"""`python -m zerohop.cli`: how the supervisor starts its children with the interpreter that it runs itself."""

from zerohop.cli import main

main()
