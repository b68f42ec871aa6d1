"""What is measured: each module gives the rows of one group of the table."""
