"""Tables, figures and their writers."""
