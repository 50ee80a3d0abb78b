"""What should happen next?  Pure: values in, values and reasons out."""
