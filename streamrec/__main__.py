"""`python -m streamrec`, which is also how torchrun starts it; processes of a training import it."""

from streamrec.cli import main

if __name__ == "__main__":
    main()
