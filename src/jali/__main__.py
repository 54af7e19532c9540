# SPDX-License-Identifier: Apache-2.0
"""`python -m jali` is `jali`."""

from jali.cli.app import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
