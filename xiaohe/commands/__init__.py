"""The commands of the program, one module for each word that it knows."""
