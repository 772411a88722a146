"""The claims of the papers as measured assertions, and the report on them."""
