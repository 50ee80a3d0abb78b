"""Where do results live?  Artifacts in an object store: a local folder, S3, GCS or Azure."""
