"""Fair comparisons: tasks, methods, one training loop for all of them, and what is made of its runs."""
