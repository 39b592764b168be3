"""A soak: the whole product under a steady load for an hour and more, watched for what grows."""
