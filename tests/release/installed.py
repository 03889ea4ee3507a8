"""Prints the distributions of the Python that runs this, one `name==version` a line. Needs Python alone."""

from importlib.metadata import distributions

if __name__ == "__main__":
    print(*sorted(f"{each.name}=={each.version}" for each in distributions()), sep="\n")
