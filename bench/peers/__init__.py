"""`make bench-peers`: Kata beside libraries that keep conversations in PostgreSQL, on one database, in one run.

Two environments meet here. The command and its tables run in the server's own: they start the database, the server and
a process for each library, ask one after the other, and print. Those processes (`appending`, and what is below
`libraries`) run in the environment of the libraries and need nothing of the server but its stubs. `orders` is what
passes between.
"""
