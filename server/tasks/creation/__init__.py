"""Creation of tasks and of their further turns: every check of a request, in one order, and its delivery."""
