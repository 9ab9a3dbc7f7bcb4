"""``python -m probtokens`` is the command ``probtokens``."""

from probtokens.cli import main

if __name__ == "__main__":
    main()
