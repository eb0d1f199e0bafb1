"""What is told of a run: a document of figures, a page made from it, and the table in the documentation."""
