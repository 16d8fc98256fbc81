"""The tensor class by subject; importing a module of this package adds its methods."""
