"""The proxy: the S3 front-end."""
