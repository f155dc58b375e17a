"""`python -m streamrec`, which is also how torchrun starts it."""

from streamrec.cli import main

main()
