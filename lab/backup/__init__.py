"""A laboratory in a folder: every document of its database, and the code that they refer to; and back."""
