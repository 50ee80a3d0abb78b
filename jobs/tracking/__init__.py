"""What stages log becomes records in the store first, and runs and models in MLflow later."""
