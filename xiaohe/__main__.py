"""``python -m xiaohe`` is the program too."""

from xiaohe.cli import main

if __name__ == "__main__":
    main()
